"""Somebody who has never seen the page, without a mouse (issue 6, "what it must show")."""

import time

from daemon import wait_for

BOB = "bob@customer.example"


class Keyboard:
    """A person at it: Tab to what is wanted, Enter, and words. Counts what is pressed and what is
    read to know what comes next."""

    def __init__(self, page):
        self.page = page
        self.pressed = self.read = 0

    def press(self, key):
        self.page.keys(key)
        self.pressed += 1

    def write(self, text):
        self.page.keys(text)
        self.pressed += len(text)

    def name(self):
        return self.page.script(
            "const e = document.activeElement;"
            "return (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || '').trim()")

    def to(self, name, inside="body", most=40):
        """By Tab alone, and never far."""
        for _ in range(most):
            if self.name() == name and self.page.script(
                    "return Boolean(document.activeElement.closest(arguments[0]))", inside):
                return
            self.press("TAB")
        raise AssertionError("no way to %r in %s, but to %r" % (name, inside, self.name()))

    def see(self, text, css="body"):
        """A text that leads."""
        self.page.see(text, css)
        self.read += 1


def test_from_nothing_to_released_by_keyboard_in_two_minutes(page, relay, hop):
    """An entry, a mail, why it was dropped, allowed, released: each screen names the next act."""
    hand = Keyboard(page)
    begin = time.monotonic()
    hand.see("Token")
    hand.to("Token")
    page.keys(relay.token)  # pasted
    hand.press("ENTER")
    hand.see("First steps")

    hand.see("Say who may get mail", ".steps")
    hand.to("Add an entry", ".steps")
    hand.press("ENTER")
    hand.see("Add an entry", "dialog h2")
    hand.to("Pattern", "dialog")
    hand.write("alice@example.com")
    hand.press("ENTER")
    hand.see("alice@example.com is allowed.", "#said")

    hand.see("Send a mail", ".steps")
    hand.to("Send a test mail", ".steps")
    hand.press("ENTER")
    hand.see("Send a test mail", "dialog h2")
    hand.to("To", "dialog")
    hand.write(BOB)
    hand.see("Would be dropped: no entry allows it.", "dialog")
    hand.press("ENTER")

    hand.see("The relay has it", "dialog h2")
    hand.see("No entry allows it.", "dialog .outcomes")
    hand.to("Open the message", "dialog")
    hand.press("ENTER")
    hand.see("No entry allows it.", '[data-key="%s"]' % BOB)
    hand.to("Allow …", '[data-key="%s"]' % BOB)
    hand.press("ENTER")
    hand.see("Allow " + BOB, "dialog h2")
    hand.to("Allow and release", "dialog")
    hand.press("ENTER")
    hand.see(BOB + " is allowed, and the mail is on its way.", "#said")
    hand.see("Delivered", '[data-key="%s"] .chip' % BOB)

    took = time.monotonic() - begin
    wait_for(lambda: [m.recipients for m in hop.messages] == [[BOB]], "the mail at the next hop")
    # A key in 0.3 s, and two seconds for each text that leads: what a person needs who is in no hurry.
    person = hand.pressed * 0.3 + hand.read * 2
    print("%d keys, %d texts: %.0f s for a person; %.1f s here" % (hand.pressed, hand.read, person,
                                                                  took))
    assert person < 120
    # Done, and gone from the overview.
    page.go("overview")
    page.see("What can leave")
    page.not_see("First steps")
    assert not page.unnamed()


def test_a_reader_is_told_the_steps_and_offered_none(page, relay):
    reader = relay.post("/tokens", {"name": "r", "role": "reader"}).json["secret"]
    page.log_in(reader)
    page.see("First steps")
    assert page.count(".steps button") == 0
