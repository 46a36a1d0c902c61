"""
The pictures of the README, made anew: STAGEPOST_BUILD=build python3 tests/web/screenshots.py docs
The relay of the pictures has a life of its own for some seconds: mail, entries, a route in trouble.
"""

import pathlib
import random
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "flow"))

from browser import Browser, why_not  # noqa: E402
from daemon import Daemon, Smtp, wait_for  # noqa: E402
from nexthop import NextHop  # noqa: E402

SUBJECTS = ["Your order #%d has shipped", "Password reset for your account", "Invoice %d", "Weekly report",
            "Bestellbest\u00e4tigung Nr. %d", "[CRM] New lead assigned to you", "Re: Ticket %d"]
PEOPLE = ["alice@example.com", "bob@example.com", "carol@customer.example", "qa-nightly@example.com",
          "dave@shop.customer.example", "erin@team.staging.example.com", "ceo@example.com",
          "info@down.example", "sales@partner.example"]
ENTRIES = [{"pattern": "alice@example.com", "note": "my own mailbox", "owner": "alice"},
           {"pattern": "qa-*@example.com", "note": "QA team", "owner": "qa"},
           {"pattern": ".staging.example.com", "note": "UAT demo, TICKET-42", "expires_in": "7d"},
           {"pattern": "down.example"},
           {"pattern": "ceo@example.com", "action": "deny", "note": "never"}]
SETTINGS = """
delivery: {schedule: [5m], bounce_to: bounces@example.com}
routes:
  - {name: partner, domains: [down.example], hosts: ["127.0.0.1:1"], tls: none}
  - {name: smarthost, hosts: ["%s"], tls: none}
"""


def send(relay, count, seed):
    chance = random.Random(seed)
    with Smtp(relay.smtp_port) as smtp:
        for number in range(count):
            people = chance.sample(PEOPLE, chance.choice([1, 1, 2, 3]))
            if number == count - 1:
                people = ["alice@example.com", "bob@example.com", "carol@customer.example"]
            subject = chance.choice(SUBJECTS)
            subject = subject % (4000 + number) if "%d" in subject else subject
            smtp.send("noreply@shop.example", people, (
                "From: Shop <noreply@shop.example>\r\nTo: %s\r\nSubject: %s\r\nMIME-Version: 1.0\r\n"
                "Message-ID: <%d.%d@shop.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
                "Hello,\r\n\r\nthank you. We will let you know when it ships.\r\n"
                % (", ".join(people), subject, seed, number)).encode())


def settle(relay):
    wait_for(lambda: not {"queued", "delivering"} & set(relay.get("/status")["queue"]["recipients"]),
             "all to be tried")


def overview(browser, relay):
    browser.go("overview")
    for seed, count in enumerate([5, 9, 4, 12, 7, 3]):
        send(relay, count, seed)
        time.sleep(10)  # a bar of the charts
    settle(relay)
    wait_for(lambda: browser.text(".tile.is-queued .tile-count") == "0", "the tiles")


def message(browser):
    browser.go("messages")
    browser.find(".mail-row").click()
    browser.see("Recipients (3)")


def pictures(browser, relay, folder):
    overview(browser, relay)
    browser.screenshot(folder / "page-overview.png")
    message(browser)
    browser.screenshot(folder / "page-message.png")
    browser.go("whitelist")
    browser.fill("Would mail for this address leave?", "bob@example.com qa-7@example.com")
    browser.see("Would be delivered")
    browser.screenshot(folder / "page-whitelist.png")
    browser.emulate(390, 760, dark=True)
    browser.go("messages")
    browser.see("delivered", ".list")
    browser.screenshot(folder / "page-phone.png")


def main(folder):
    reason = why_not()
    if reason:
        sys.exit(reason)
    hop = NextHop()
    with tempfile.TemporaryDirectory() as temporary:
        relay = Daemon(temporary, settings=SETTINGS % hop.address)
        text = relay.config.read_text().replace("relay.test", "relay.staging.example.com")
        relay.config.write_text(text)
        relay.start()
        for entry in ENTRIES:
            relay.post("/whitelist", entry)
        browser = Browser(1200, 820)
        browser.begin(relay)
        browser.log_in()
        pictures(browser, relay, folder)
        browser.quit()
        relay.close()
    hop.close()


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    target.mkdir(exist_ok=True)
    main(target)
