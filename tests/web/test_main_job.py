"""A person who has never seen it: from the first log-in to the mail at the next hop (issue 6.6)."""

from daemon import Smtp, wait_for

MAIL = (b"From: Shop <shop@example.com>\r\nTo: alice@example.com\r\nCc: bob@customer.example\r\n"
        b"Subject: Your order\r\n\r\nThank you!\r\n")
THREE = ["alice@example.com", "bob@customer.example", "carol@customer.example"]


def test_from_the_first_log_in_to_the_next_hop(page, relay, hop):
    page.fill("Token", "stp_" + "x" * 43)
    page.click("Log in")
    page.see("a valid bearer token is needed")
    page.log_in()
    page.see("The whitelist is empty", ".note")

    # An entry; what it would mean is said while it is typed.
    page.follow("Whitelist", "nav")
    page.see("Nothing can leave.")
    page.fill("Would mail for this address leave?", "alice@example.com")
    page.see("Would be dropped: the whitelist is empty")
    page.click("Add an entry")
    page.fill("Pattern", "alice@@", "dialog")
    page.see("a domain holds something else than letters", "dialog .complaint")
    page.wanted_errors.append(r"/whitelist/import\S* - .* 400")
    page.fill("Pattern", "alice@example.com", "dialog")
    page.see("Matches 0 of the 0 recipients seen", "dialog")
    page.fill("Note", "my own mailbox", "dialog")
    page.click("Add", "dialog")
    page.see("alice@example.com is allowed.", "#said")
    page.see("my own mailbox", ".list")

    # Mail by SMTP is there without a reload.
    page.follow("Messages", "nav")
    page.see("No mail yet")
    page.script("window.notReloaded = true")
    with Smtp(relay.smtp_port) as smtp:
        message = smtp.send("shop@example.com", THREE, MAIL)
    page.see("Your order", ".list")
    page.see("1 delivered", ".list")
    page.see("2 dropped", ".list")
    page.find(".mail-row").click()

    # Why two of three were dropped.
    page.see("Recipients (3)")
    assert page.text("#panel").count("No entry allows it.") == 2
    assert "accepted by the next hop" in page.text("#panel").lower()

    # One is allowed and let go, the other one is not.
    page.click("Allow …", '[data-key="bob@customer.example"]')
    page.see("Matches ", "dialog")
    page.click("Allow and release", "dialog")
    page.see("bob@customer.example is allowed, and the mail is on its way.", "#said")
    page.see("2 delivered", ".chips")
    page.see("Delivered", '[data-key="bob@customer.example"] .chip')
    page.see("Dropped", '[data-key="carol@customer.example"] .chip')
    assert page.script("return window.notReloaded")
    relay.wait_states(message, dict(zip(THREE, ["delivered", "delivered", "dropped"])))
    wait_for(lambda: len(hop.messages) == 2, "two messages at the next hop")
    assert sorted(sum((m.recipients for m in hop.messages), [])) == THREE[:2]
    assert "carol@customer.example" not in " ".join(hop.offered)

    # What leaves, against what was stored.
    page.click("As sent", '[role="tablist"]')
    page.see("Received: from client.test", ".diff")
    page.see("The body leaves byte for byte as it came (1 line).")
    assert not page.unnamed()

    page.click("Log out")
    page.see("You are logged out.", "#said")
    page.driver.refresh()
    page.see("Token")


def test_dropped_mail_is_grouped_and_let_go(inside, relay, hop):
    with Smtp(relay.smtp_port) as smtp:
        for number in range(3):
            smtp.send("shop@example.com", ["bob@x.example", "eve@x.example"],
                      b"Subject: no %d\r\n\r\nhello\r\n" % number)
    inside.follow("Dropped 6", "nav")
    inside.see("3 messages", '[data-key="bob@x.example"]')
    # Nothing allows it: there is nothing to release yet, and the page says so.
    inside.click("Release …", '[data-key="bob@x.example"]')
    inside.see("0 recipients would be released, 3 would stay as they are: bob@x.example", "dialog")
    assert not inside.named("button", "Release", "dialog").is_enabled()
    inside.click("Cancel", "dialog")
    relay.allow("bob@x.example")
    inside.click("Release …", '[data-key="bob@x.example"]')
    inside.see("3 recipients would be released.", "dialog")
    inside.click("Release", "dialog")
    inside.see("3 recipients released.", "#said")
    inside.not_see("bob@x.example", ".recipients")
    wait_for(lambda: len(hop.messages) == 3, "three messages at the next hop")
    # Both in one step.
    inside.click("Allow this recipient …", '[data-key="eve@x.example"]')
    inside.click("Add", "dialog")
    inside.see("eve@x.example is allowed; 3 recipients released.", "#said")
    inside.see("Nothing was dropped")
    wait_for(lambda: len(hop.messages) == 6, "six messages at the next hop")
    assert not inside.unnamed()


def test_a_test_mail(inside, relay, hop):
    """Written on the page: what would happen is said while one types, what happened behind it."""
    relay.allow("alice@example.com")
    inside.go("messages")
    inside.see("No mail yet")
    inside.click("Send a test mail")
    inside.see("Send a test mail", "dialog h2")
    assert inside.focused().get_attribute("name") == "to"
    inside.fill("To", "Alice <alice@example.com>, bob@customer.example", "dialog")
    inside.see("Would be delivered", "dialog .trial")
    inside.see("Would be dropped", "dialog .trial")
    inside.fill("From", "no address", "dialog")
    inside.click("Send", "dialog")
    inside.wanted_errors.append(r"/messages - .* 400")
    inside.see('"no address" is no mailbox', "dialog .complaint")
    inside.fill("From", "Shop <shop@example.com>", "dialog")
    inside.fill("Subject", "Grüße <script>alert(1)</script>", "dialog")
    inside.fill("Text", "How are you?", "dialog")
    assert not inside.unnamed()
    inside.click("Send", "dialog")
    inside.see("The relay has it", "dialog h2")
    inside.see("Dropped", 'dialog [data-key="bob@customer.example"]')
    inside.see("No entry allows it.", 'dialog [data-key="bob@customer.example"]')
    inside.see("Queued", 'dialog [data-key="alice@example.com"]')
    assert not inside.unnamed()
    for dark in (False, True):
        inside.emulate(360, 740, dark)
        assert inside.script("return document.documentElement.scrollWidth") <= 360
        assert inside.script("const d = document.querySelector('dialog');"
                             "return d.scrollWidth - d.clientWidth") <= 0
    inside.emulate()
    inside.click("Open the message", "dialog")
    inside.see("Grüße <script>alert(1)</script>", "h1")
    inside.see("Delivered", '[data-key="alice@example.com"] .chip')
    wait_for(lambda: len(hop.messages) == 1, "the message at the next hop")
    assert hop.messages[0].recipients == ["alice@example.com"]
    assert b"How are you?" in hop.messages[0].content
    (message,) = relay.get("/messages?include=recipients")["items"]
    assert message["client"]["user"] == "token:admin" and message["sender"] == "shop@example.com"


def test_a_test_mail_that_is_refused(chromium, make_daemon):
    """Whoever is refused at RCPT is told apart; a reader has nothing to send."""
    relay = make_daemon(settings="policy: {default: reject}\n")
    relay.allow("alice@example.com")
    chromium.begin(relay)
    chromium.log_in()
    chromium.go("messages")
    chromium.click("Send a test mail")
    chromium.fill("To", "bob@x.example", "dialog")
    chromium.click("Send", "dialog")
    chromium.wanted_errors.append(r"/messages - .* 422")
    chromium.see("none of the recipients is accepted", "dialog .complaint")
    chromium.fill("To", "bob@x.example, alice@example.com", "dialog")
    chromium.click("Send", "dialog")
    chromium.see("Refused: 5.7.1", 'dialog [data-key="bob@x.example"]')
    chromium.see("Queued", 'dialog [data-key="alice@example.com"]')
    chromium.click("Close", "dialog")
    wait_for(lambda: chromium.count("dialog") == 0, "the dialog to close")
    assert len(relay.get("/messages")["items"]) == 1
    chromium.click("Log out")
    reader = relay.post("/tokens", {"name": "r", "role": "reader"}).json["secret"]
    chromium.fill("Token", reader)
    chromium.click("Log in")
    chromium.see("Test", ".list")
    assert "Send a test mail" not in chromium.text()
    chromium.end()
