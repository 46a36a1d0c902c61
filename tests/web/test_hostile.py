"""CASES S290: whatever a message says is text; it makes no request and touches nothing."""

from daemon import Smtp, wait_for

SCRIPTS = ['<script>document.title="pwned"</script>', '"><img src=x onerror=alert(1)>',
           "javascript:alert(1)", "</script><svg onload=alert(2)>", "{{7*7}}${7*7}",
           "<iframe srcdoc='<script>parent.alert(3)</script>'></iframe>",
           "<a href='https://evil.example/'>here</a>", "&lt;b&gt;"]
HIDDEN = "invoice\u202excod.exe a\u2028b\u200bc"


def content(mark):
    fields = ["%s: %s" % (name, mark) for name in (
        "From", "To", "Cc", "Reply-To", "Message-ID", "X-Mailer", "Received", "DKIM-Signature")]
    fields += ["Subject: " + mark, "X-Link: https://evil.example/pixel.gif",
               "Content-Type: text/html; charset=utf-8"]
    body = '<img src="https://evil.example/1.gif"><link rel=stylesheet href=//evil.example/2.css>' + mark
    return ("\r\n".join(fields) + "\r\n\r\n" + body + "\r\n").encode()


def send(relay, recipient, data):
    with Smtp(relay.smtp_port) as smtp:
        smtp.command("MAIL FROM:<a@x.example>")
        assert smtp.command("RCPT TO:<%s>" % recipient)[0] == 250
        assert smtp.command("DATA")[0] == 354
        smtp.write(data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return smtp.reply()[1].split("queued as ")[1][:26]


def test_what_a_message_says_is_text(inside, relay, hop):
    for mark in SCRIPTS:
        send(relay, "bob@x.example", content(mark))
    inside.go("messages")
    for mark in SCRIPTS:
        inside.see(mark, ".list")
    title = inside.driver.title
    assert title == "Messages - Stagepost"
    for number in range(len(SCRIPTS)):
        inside.go("messages")
        inside.see("Messages", "h1")
        rows = wait_for(lambda: inside.driver.find_elements("css selector", ".mail-row"), "rows")
        mark = rows[number].find_element("css selector", ".mail-subject").text
        inside.script("arguments[0].click()", rows[number])
        inside.see(mark, "h1")
        for tab in ("Header", "Raw", "As sent"):
            inside.click(tab, '[role="tablist"]')
            inside.see("evil.example/pixel.gif", "#panel")
            assert mark in inside.text("#panel"), tab
        assert "pwned" != inside.driver.title
        assert inside.count("#app script, #app iframe, #app svg[onload], #app img:not([src^='web/'])") == 0


def test_what_a_next_hop_says_is_text(inside, relay, hop):
    mark = SCRIPTS[1]
    relay.allow("bob@x.example")
    hop.replies["bob@x.example"] = "550 5.1.1 " + mark
    message = send(relay, "bob@x.example", content("hello"))
    relay.wait_states(message, {"bob@x.example": "failed"})
    inside.go("messages/" + message)
    inside.see("550 5.1.1 " + mark, "#panel")
    inside.go("routes")
    inside.see("test", ".recipients h2")


def test_what_nobody_sees_is_shown(inside, relay):
    """Characters that turn the text around or hide in it."""
    data = b"Subject: =?utf-8?B?%s?=\r\n\r\nx\r\n"
    import base64
    message = send(relay, "bob@x.example", data % base64.b64encode(HIDDEN.encode()))
    inside.go("messages/" + message)
    inside.see("invoice\u27e8202E\u27e9xcod.exe a\u27e82028\u27e9b\u27e8200B\u27e9c", "h1")


def test_notes_and_reasons_are_text(inside, relay):
    for number, mark in enumerate(SCRIPTS):
        relay.post("/whitelist", {"pattern": "p%d@x.example" % number, "note": mark, "owner": mark[:200]})
    relay.post("/delivery/pause", {"reason": SCRIPTS[0]})
    inside.go("whitelist")
    for mark in SCRIPTS:
        inside.see(mark, ".list")
    inside.go("whitelist/history")
    inside.see(SCRIPTS[3], "table")
    inside.go("overview")
    inside.see(SCRIPTS[0], ".note")
