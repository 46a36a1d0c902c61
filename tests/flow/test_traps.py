"""
Traps T1 to T16: what other tools of this kind got wrong, found in their source. Each is a way by
which mail reached somebody, or a record said less than had happened.
"""

import subprocess
import time

import pytest

from daemon import STAGEPOSTD, Smtp, wait_for, without_received
from nexthop import NextHop

LISTED = "alice@example.com"
OTHER = "bob@example.com"
CUSTOMER = "real@evil.example"
SENDER = "app@shop.test"
BODY = b"Subject: order\r\n\r\nhello\r\n"


def send(relay, recipients, content=BODY, sender=SENDER):
    with Smtp(relay.smtp_port) as client:
        return client.send(sender, recipients, content)


def act(relay, number, word, recipients=None):
    body = {"recipients": recipients} if recipients else {}
    return relay.request("POST", "/api/v1/messages/%s/%s" % (number, word), body).status


def test_t1_no_setting_goes_around_the_list(make_daemon, hop):
    """A route for everybody, a release, a retry, a start: the list is asked each time."""
    relay = make_daemon(hop.address, "routes: [{name: all, domains: ['*'], hosts: ['%s'], "
                        "tls: none}]\n" % hop.address)
    relay.allow(LISTED)
    number = send(relay, [LISTED, CUSTOMER])
    want = {LISTED: "delivered", CUSTOMER: "dropped"}
    relay.wait_states(number, want)
    for word in ("release", "retry", "hold", "release"):
        act(relay, number, word, [CUSTOMER])
    relay.restart()
    act(relay, number, "release")
    relay.wait_states(send(relay, [LISTED]), {LISTED: "delivered"})
    assert relay.states(number)[CUSTOMER] in ("dropped", "held")
    assert set(hop.offered) == {LISTED}


def test_t2_bcc_leaves_by_no_way(relay, hop):
    """Sent at once, and released later."""
    relay.allow(LISTED)
    content = b"To: alice@example.com\r\nBcc: bob@example.com\r\n" + BODY
    relay.wait_states(send(relay, [LISTED]), {LISTED: "delivered"})
    number = send(relay, [OTHER], content)
    relay.wait_states(number, {OTHER: "dropped"})
    relay.allow(OTHER)
    assert act(relay, number, "release") == 200
    relay.wait_states(number, {OTHER: "delivered"})
    relay.wait_states(send(relay, [LISTED, OTHER], content),
                      {LISTED: "delivered", OTHER: "delivered"})
    for copy in hop.snapshot():
        assert b"bcc" not in copy.content.lower()


def test_t3_the_record_has_every_recipient(relay):
    """Whatever the header says, with a Bcc of its own or none."""
    envelope = [LISTED, OTHER, CUSTOMER, "hidden@example.com"]
    for header in (b"", b"Bcc: bob@example.com\r\n", b"Bcc: \r\nBcc: x@y.test\r\n"):
        number = send(relay, envelope, b"To: alice@example.com\r\n" + header + BODY)
        assert list(relay.states(number)) == envelope


@pytest.mark.parametrize("rules", [
    [("deny", OTHER), ("allow", "example.com")], [("allow", "example.com"), ("deny", OTHER)],
], ids=["deny first", "allow first"])
def test_t4_order_means_nothing(relay, hop, rules):
    """Nothing is allowed before somebody says so, and deny wins wherever it stands."""
    relay.wait_states(send(relay, [LISTED]), {LISTED: "dropped"})
    for action, pattern in rules:
        relay.post("/whitelist", {"pattern": pattern, "action": action})
    number = send(relay, [LISTED, OTHER, CUSTOMER])
    relay.wait_states(number, {LISTED: "delivered", OTHER: "dropped", CUSTOMER: "dropped"})
    assert hop.offered == [LISTED]


def test_t6_tls_is_verified_unless_somebody_says_no(tmp_path):
    """Required and verified is what a route does that says nothing of it."""
    config = tmp_path / "stagepost.yaml"
    config.write_text('data_dir: %s\nroutes: [{name: out, hosts: ["mail.example:587"]}]\n'
                      % tmp_path)
    printed = subprocess.run([STAGEPOSTD, "-c", config, "--print-config"], check=True,
                             capture_output=True, text=True, timeout=30).stdout
    assert "tls: required\n" in printed and "tls_verify: true\n" in printed


def test_t6_other_sites_drive_nothing(relay):
    """No page of another origin can read or change anything, with or without a token."""
    evil = {"Origin": "https://evil.example"}
    for method in ("OPTIONS", "GET", "POST"):
        for token in (None, "admin"):
            answer = relay.request(method, "/api/v1/whitelist", token=token, headers=evil,
                                   body={"pattern": LISTED} if method == "POST" else None)
            # Who has the token may ask from anywhere; no page can read the answer.
            allowed = method == "GET" and token is not None
            assert (answer.status < 400) == allowed, (method, token, answer.status)
            assert not [n for n in answer.headers if n.lower().startswith("access-control-")]
    assert relay.get("/whitelist")["items"] == []


def test_t6_a_slow_next_hop_does_not_block_the_application(relay, hop):
    relay.allow(LISTED)
    hop.hold_final = True
    began = time.monotonic()
    first = send(relay, [LISTED])
    assert hop.paused.wait(30)
    second = send(relay, [LISTED])
    took = time.monotonic() - began
    assert relay.states(first) == {LISTED: "delivering"}
    hop.hold_final = False
    hop.resume.set()
    for number in (first, second):
        relay.wait_states(number, {LISTED: "delivered"})
    assert took < 20  # the next hop would have held it for 60 s


def test_t8_one_of_several_hosts_gets_it(make_daemon):
    """Hosts are tried in order; whoever took it is the only one that has it."""
    refusing, first, spare = NextHop(), NextHop(), NextHop()
    refusing.replies = {LISTED: "451 4.3.2 not now"}
    relay = make_daemon(settings="routes: [{name: out, hosts: ['%s', '%s', '%s'], tls: none}]\n"
                        "delivery: {schedule: [200ms]}\n"
                        % (first.address, refusing.address, spare.address))
    relay.allow(LISTED)
    for _ in range(5):
        relay.wait_states(send(relay, [LISTED]), {LISTED: "delivered"})
    assert (len(first.snapshot()), len(spare.snapshot())) == (5, 0)
    # A no of the second is the whole answer for now; it is not asked of the third by chance.
    first.kill()
    number = send(relay, [LISTED])
    wait_for(lambda: relay.states(number)[LISTED] in ("deferred", "delivered"), "an attempt")
    refusing.replies = {}
    relay.wait_states(number, {LISTED: "delivered"})
    assert len(refusing.snapshot()) + len(spare.snapshot()) == 1
    for hop in (refusing, spare):
        hop.close()


def test_t9_a_refusal_is_for_good_an_outage_is_not(make_daemon, hop):
    relay = make_daemon(hop.address, "policy: {default: reject}\n")
    relay.allow(LISTED)
    with Smtp(relay.smtp_port) as client:
        assert client.command("MAIL FROM:<%s>" % SENDER)[0] == 250
        code, text = client.command("RCPT TO:<%s>" % CUSTOMER)
        assert code == 550 and text.startswith("5.7.1 "), (code, text)
        # Patterns are read when they are added, not when somebody sends.
        relay.post("/whitelist", {"pattern": "(unclosed@example.com"}, want=(400,))
        assert client.command("RCPT TO:<%s>" % LISTED)[0] == 250
    hop.kill()
    number = send(relay, [LISTED])
    relay.wait_states(number, {LISTED: "deferred"})
    back = NextHop(port=hop.port)
    relay.wait_states(number, {LISTED: "delivered"})
    assert [m.recipients for m in back.snapshot()] == [[LISTED]]
    back.close()


def test_t10_one_refusal_does_not_fail_the_others(relay, hop):
    """Neither ours nor the next hop's; what it puts off comes again by itself."""
    relay.allow("example.com")
    hop.replies = {OTHER: "550 5.1.1 unknown", "later@example.com": "451 4.2.0 later"}
    number = send(relay, [LISTED, OTHER, "later@example.com", CUSTOMER], sender="")
    relay.wait_states(number, {LISTED: "delivered", OTHER: "failed",
                               "later@example.com": "deferred", CUSTOMER: "dropped"})
    hop.replies = {}
    relay.wait_states(number, {LISTED: "delivered", OTHER: "failed",
                               "later@example.com": "delivered", CUSTOMER: "dropped"})
    assert [m.recipients for m in hop.snapshot()] == [[LISTED], ["later@example.com"]]


def test_t11_cc_and_bcc_are_recipients_like_others(relay, hop):
    """Wherever the header has them, or has them not; and patterns match whole addresses."""
    relay.allow("alice@example.com", "ex.mple@dots.test")
    content = (b"To: alice@example.com\r\nCc: bob@example.com\r\n" + BODY)
    addresses = [LISTED, OTHER, "hidden@example.com", "malice@example.com",
                 "alice@example.com.evil.example", "example@dots.test", "ex.mple@dots.test"]
    number = send(relay, addresses, content)
    want = {a: "delivered" if a in (LISTED, "ex.mple@dots.test") else "dropped"
            for a in addresses}
    relay.wait_states(number, want)
    assert sorted(hop.offered) == sorted([LISTED, "ex.mple@dots.test"])


def test_t12_whoever_got_it_gets_no_second_copy(relay, hop):
    """Part of a release fails: the rest is recorded, and another try is for those who miss it."""
    people = [LISTED, OTHER, "carol@example.com"]
    number = send(relay, people, sender="")
    relay.wait_states(number, {p: "dropped" for p in people})
    relay.allow("example.com")
    hop.replies = {OTHER: "550 5.7.1 not you"}
    assert act(relay, number, "release") == 200
    relay.wait_states(number, {LISTED: "delivered", OTHER: "failed",
                               "carol@example.com": "delivered"})
    hop.replies = {}
    act(relay, number, "release")
    act(relay, number, "retry", [OTHER])
    relay.wait_states(number, {p: "delivered" for p in people})
    assert sorted(a for m in hop.snapshot() for a in m.recipients) == sorted(people)


def test_t13_words_of_the_header_release_nobody(relay, hop):
    relay.allow("example.com")
    content = (b"Subject: alice@example.com example.com\r\nTo: Alice <alice@example.com>\r\n"
               b"Cc: bob@example.com\r\nX-Whitelist: real@evil.example\r\n\r\nexample.com\r\n")
    number = send(relay, [CUSTOMER, "other@evil.example"], content)
    relay.wait_states(number, {CUSTOMER: "dropped", "other@evil.example": "dropped"})
    relay.wait_states(send(relay, [LISTED], content), {LISTED: "delivered"})
    assert hop.offered == [LISTED]


def test_t13_a_rule_does_not_release_the_others(relay, hop):
    """A rule on the header decides for each recipient, and alone it lets nobody out."""
    relay.allow(LISTED)
    relay.post("/rules", {"name": "staging", "action": "deliver",
                          "headers": [{"name": "To", "value": "*example.com*", "match": "glob"}]})
    (staging,) = [r["id"] for r in relay.get("/rules")["items"]]
    content = b"To: Alice <alice@example.com>, real@evil.example\r\n" + BODY
    number = send(relay, [LISTED, CUSTOMER], content)
    relay.wait_states(number, {LISTED: "delivered", CUSTOMER: "dropped"})
    assert relay.request("DELETE", "/api/v1/rules/%d" % staging).status == 204
    # One that overrides says for whom, and is for nobody else.
    relay.post("/rules", {"name": "out", "action": "deliver", "overrides_whitelist": True,
                          "recipient": OTHER, "headers": [{"name": "To"}]})
    number = send(relay, [OTHER, CUSTOMER], content)
    relay.wait_states(number, {OTHER: "delivered", CUSTOMER: "dropped"})
    assert sorted(hop.offered) == [LISTED, OTHER]


@pytest.mark.parametrize("members", [
    {"headers": [{"name": "To", "value": "(unclosed", "match": "regex"}]},
    {"headers": [{"name": "", "value": "x"}]}, {"headers": [{"name": "To", "value": 7}]},
    {"headers": {}}, {"header": [{"name": "To"}]}, {"recipient": "a@b@c"}, {"sender": "a b@c.test"},
    {"client": "10.0.0.0/33"}, {"min_size": "much"},
], ids=lambda members: str(members)[:50])
def test_t13_a_condition_that_can_not_be_read_is_no_rule(relay, members):
    """It would be a rule for everybody."""
    relay.post("/rules", {"name": "x", "action": "deliver", "overrides_whitelist": True, **members},
               want=(400,))
    assert relay.get("/rules")["items"] == []


def test_t14_what_a_sendmail_left_in(relay, hop):
    """Programs that hand over Bcc and never read it: it is no recipient, and does not leave."""
    relay.allow("example.com")
    content = b"To: alice@example.com\r\nBcc: bob@example.com, carol@example.com\r\n" + BODY
    number = send(relay, [LISTED], content)
    relay.wait_states(number, {LISTED: "delivered"})
    assert hop.offered == [LISTED]
    assert without_received(hop.snapshot()[0].content) == b"To: alice@example.com\r\n" + BODY


@pytest.mark.parametrize("line", [
    "real@evil.example, alice@example.com", "<real@evil.example, alice@example.com>",
    "<real@evil.example>, <alice@example.com>", "<alice@example.com> <real@evil.example>",
    "<alice@example.com>,<real@evil.example>", "<>", "<alice@example.com", "alice@example.com>",
    "\"alice@example.com\" <real@evil.example>", "<(alice@example.com)>",
])
def test_t16_what_can_not_be_read_is_nobody(relay, hop, line):
    """A parser's failure is a refusal, in the session and in the dry run."""
    relay.allow(LISTED)
    with Smtp(relay.smtp_port) as client:
        assert client.command("MAIL FROM:<%s>" % SENDER)[0] == 250
        assert client.command("RCPT TO:" + line)[0] == 501
        assert client.command("DATA")[0] == 554
    (item,) = relay.post("/check", {"recipients": [line]}).json["items"]
    assert item["verdict"] == "invalid" and item["entry"] is None
    assert relay.get("/messages")["items"] == [] and hop.connections == 0


def test_t16_the_log_tells_nothing_of_the_content(make_daemon, hop):
    """Even at its most talkative, whatever becomes of the message."""
    relay = make_daemon(hop.address, "log: {level: debug}\n")
    relay.allow(LISTED)
    hop.replies = {LISTED: "451 4.2.0 later"}
    content = b"Subject: Password reset for Jane\r\nX-Secret: hidden-word\r\n\r\ntoken-4711\r\n"
    number = send(relay, [LISTED, CUSTOMER], content)
    relay.wait_states(number, {LISTED: "deferred", CUSTOMER: "dropped"})
    hop.replies = {}
    relay.wait_states(number, {LISTED: "delivered", CUSTOMER: "dropped"})
    act(relay, number, "release")
    assert relay.stop() == 0
    log = relay.log()
    assert number in log
    for word in ("Password reset", "hidden-word", "token-4711"):
        assert word not in log
    relay.start()


# --- redirect ----------------------------------------------------------------------------------------

QA = "qa@example.net"
REDIRECT = "policy: {default: redirect, redirect_to: %s}\n"


def test_t5_t7_where_mail_is_sent_instead_is_judged_too(make_daemon, hop):
    """The original by the list, then the target by the same list; neither stands for the other."""
    relay = make_daemon(hop.address, REDIRECT % QA)
    relay.allow(LISTED)
    number = send(relay, [LISTED, CUSTOMER])
    relay.wait_states(number, {LISTED: "delivered", CUSTOMER: "redirected", QA: "dropped"})
    assert hop.offered == [LISTED]
    # Listed in another spelling: it is the mailbox that counts.
    relay.allow(QA.upper())
    second = send(relay, [CUSTOMER])
    relay.wait_states(second, {CUSTOMER: "redirected", QA: "delivered"})
    assert hop.offered == [LISTED, QA]
    assert relay.states(number)[QA] == "dropped"


def test_t15_only_what_was_refused_goes_elsewhere(make_daemon, hop):
    """One copy for all of them, none of mail that was allowed."""
    relay = make_daemon(hop.address, REDIRECT % QA)
    relay.allow(QA, "internal-*@example.com")
    inside = "internal-a@example.com"
    relay.wait_states(send(relay, [inside]), {inside: "delivered"})
    refused = ["internal-a@exampleXcom.test", "internal-a@example.fr", "external@example.com"]
    number = send(relay, [inside, *refused])
    relay.wait_states(number, {inside: "delivered", QA: "delivered",
                               **{r: "redirected" for r in refused}})
    assert sorted(hop.offered) == sorted([inside, inside, QA])
    assert sum(QA in m.recipients for m in hop.snapshot()) == 1
