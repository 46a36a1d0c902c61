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
