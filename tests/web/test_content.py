"""What a message says and holds, and what happens, as it happens."""

import base64

from daemon import Smtp, wait_for

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==")
HTML = """<html><head><title>pwned</title><meta http-equiv=refresh content="0;url=https://evil.example/0">
<base href="https://evil.example/"><link rel=stylesheet href=1.css><style>@import "//evil.example/2.css"; p {color: red}</style>
<script>parent.document.title = 'pwned'; fetch('https://evil.example/3')</script></head>
<body onload="top.location='https://evil.example/4'" background="https://evil.example/5.png"><p>Hello in red</p>
<img src="https://evil.example/6.gif"><img src="cid:pixel@x" alt="the pixel"><svg onload="alert(1)"></svg>
<form action="https://evil.example/7"><input name=a autofocus onfocus="alert(2)"><button>send</button></form>
<iframe srcdoc="<script>parent.parent.alert(3)</script>"></iframe><object data="https://evil.example/8"></object>
<a href="https://evil.example/9" target="_top">a link</a><video src="https://evil.example/10" autoplay></video>
</body></html>"""


def mixed(html=HTML):
    lines = ["From: shop@x.example", "To: bob@x.example", "Subject: many parts", "MIME-Version: 1.0",
             "Content-Type: multipart/mixed; boundary=m", "",
             "--m", "Content-Type: multipart/related; boundary=r", "",
             "--r", "Content-Type: multipart/alternative; boundary=a", "",
             "--a", "Content-Type: text/plain; charset=utf-8", "", "Hello as text", "<script>alert(0)</script>",
             "--a", "Content-Type: text/html; charset=utf-8", "", *html.splitlines(), "--a--",
             "--r", "Content-Type: image/gif", "Content-ID: <pixel@x>", "Content-Transfer-Encoding: base64", "",
             base64.b64encode(PIXEL).decode(), "--r--",
             "--m", "Content-Type: text/html; name=\"../../evil.html\"", "Content-Disposition: attachment", "",
             "<script>alert(4)</script>", "--m--", ""]
    return "\r\n".join(lines).encode()


def send(relay, content, to="bob@x.example"):
    with Smtp(relay.smtp_port) as smtp:
        return smtp.send("shop@x.example", [to], content)


def test_hostile_html_is_painted_and_does_nothing(inside, relay):
    """CASES S291: a frame without rights, and a policy of its own; each alone would do."""
    message = send(relay, mixed())
    inside.go("messages/" + message)
    inside.click("HTML", '[role="tablist"]')
    frame = inside.find("iframe")
    assert frame.get_attribute("sandbox") == ""
    # What a policy stops it says so, and that is all that happens.
    inside.wanted_errors.append("Content Security Policy|sandboxed|Blocked|/html")
    inside.driver.switch_to.frame(frame)
    try:
        wait_for(lambda: "Hello in red" in inside.text(), "the text in the frame")
        assert inside.script("return getComputedStyle(document.querySelector('p')).color") == "rgb(255, 0, 0)"
        assert inside.script("return document.querySelector('img[alt]').naturalWidth") == 1
        assert inside.script("return self.origin") == "null"
        inside.script("document.querySelector('a').click(); document.querySelector('button').click()")
    finally:
        inside.driver.switch_to.default_content()
    inside.click("Phone", "#panel")
    wait_for(lambda: inside.script("return document.querySelector('iframe').clientWidth") < 380, "a narrow frame")
    assert inside.driver.title == "many parts - Stagepost"
    assert inside.driver.current_url.startswith(inside.base)


def test_text_and_parts(inside, relay):
    """CASES S292: from the page, too, they are downloads."""
    message = send(relay, mixed())
    inside.go("messages/" + message)
    inside.click("Text", '[role="tablist"]')
    inside.see("Hello as text\n<script>alert(0)</script>", "#panel pre")
    inside.click("Parts (2 attachments)", '[role="tablist"]')
    inside.see("image/gif", "#panel table")
    assert "evil.html" in inside.text("#panel table")
    links = inside.script("return [...document.querySelectorAll('#panel a')].map(a => a.getAttribute('href'))")
    assert len(links) == 4
    for href in links:
        answer = relay.request("GET", "/" + href)
        assert answer.status == 200 and answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["Content-Type"].split(";")[0] in (
            "text/plain", "image/gif", "application/octet-stream"), href
    # Only what is there has a tab.
    plain = send(relay, b"Subject: plain\r\n\r\nonly text\r\n")
    inside.go("messages/" + plain)
    inside.see("plain", "h1")
    assert "HTML" not in inside.text('[role="tablist"]')


def test_what_happens_is_there_at_once(inside, relay, hop):
    """No waiting for the next look: the stream of events says when there is something to look at."""
    relay.allow("bob@x.example")
    inside.follow("Live", "nav")
    inside.see("add allow bob@x.example by admin", ".live")
    send(relay, b"Subject: =?utf-8?q?=3Cscript=3Ealert(1)=3C/script=3E?=\r\n\r\nx\r\n")
    inside.see("<script>alert(1)</script> from shop@x.example to 1 recipient", ".live")
    inside.see("delivered", ".live")
    inside.choose("Show", "changes")
    inside.not_see("Accepted", ".live")
    inside.choose("Show", "")
    inside.click("Stand still")
    send(relay, b"Subject: later\r\n\r\nx\r\n")
    inside.click("Go on")
    inside.see("later from", ".live")
    inside.follow("Messages", "nav")
    inside.see("later", ".list")
    send(relay, b"Subject: at once\r\n\r\nx\r\n")
    wait_for(lambda: "at once" in inside.text(".list"), "the new message", timeout=8)
    assert not inside.unnamed()
