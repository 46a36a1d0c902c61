"""CASES 2.F: the whitelist's data, how it matches, and when a change is in force."""

import random
import time

import pytest

from daemon import SANITIZED, Daemon, Smtp, queued_id, wait_for
from preload import Preload

SENDER = "app@shop.test"
USER = "user@allowed.test"
BODY = b"Subject: order\r\n\r\nhello\r\n"
YEAR_MS = 366 * 86400 * 1000


def send(relay, *recipients):
    with Smtp(relay.smtp_port) as client:
        return client.send(SENDER, recipients, BODY)


def verdicts(relay, *addresses):
    """What the dry run says, in their order."""
    items = relay.post("/check", {"recipients": list(addresses)}).json["items"]
    return [item["verdict"] for item in items]


# --- patterns ---------------------------------------------------------------------------------------


def test_s148_s149_wildcards_of_others_are_plain_characters(relay, hop):
    """`_` and `%` (LIKE), `?` and `[` (GLOB), `.` (regular expressions) stand for themselves."""
    relay.allow("first_last@allowed.test", "%@percent.test", "?ser@mark.test", "a.b@dot.test")
    for pattern in ("u[a-z]er@allowed.test", "*", "*@*", "*@", "@*", "*.*", ".*@allowed.test"):
        relay.post("/whitelist", {"pattern": pattern}, want=(400,))
    number = send(relay, "first_last@allowed.test", "firstXlast@allowed.test", "%@percent.test",
                  "user@percent.test", "user@mark.test", "a.b@dot.test", "aXb@dot.test")
    relay.wait_states(number, {
        "first_last@allowed.test": "delivered", "firstXlast@allowed.test": "dropped",
        "%@percent.test": "delivered", "user@percent.test": "dropped",
        "user@mark.test": "dropped", "a.b@dot.test": "delivered", "aXb@dot.test": "dropped"})
    assert sorted(hop.offered) == ["%@percent.test", "a.b@dot.test", "first_last@allowed.test"]


def test_s149_letting_everybody_out_is_asked_for_and_shown(relay):
    assert not relay.get("/status")["whitelist"]["allows_all"]
    assert not any("`*`" in warning for warning in relay.get("/status")["warnings"])
    relay.post("/whitelist", {"pattern": "*", "allow_all": True}, want=(201,))
    status = relay.get("/status")
    assert status["whitelist"]["allows_all"]
    assert any("`*`" in warning for warning in status["warnings"])
    # Plain ones only.
    assert verdicts(relay, "any@body.test", '"any"@body.test', "a%b@body.test",
                    "any@[127.0.0.1]") == ["deliver", "drop", "drop", "drop"]


def test_s150_domains_end_where_they_end(relay, hop):
    relay.allow("allowed.test", ".below.test")
    number = send(relay, USER, "user@notallowed.test", "user@allowed.test.evil.example",
                  "user@sub.allowed.test", "user@below.test", "user@a.b.below.test",
                  "user@notbelow.test")
    relay.wait_states(number, {
        USER: "delivered", "user@notallowed.test": "dropped",
        "user@allowed.test.evil.example": "dropped", "user@sub.allowed.test": "dropped",
        "user@below.test": "dropped", "user@a.b.below.test": "delivered",
        "user@notbelow.test": "dropped"})
    assert sorted(hop.offered) == sorted([USER, "user@a.b.below.test"])


@pytest.mark.parametrize("pattern", [
    # S151: there are no regular expressions; nothing is anchored by chance
    "(a+)+$", "^user@allowed\\.test$", "user@allowed.(test|example)", "/user/", "a" * 65536,
    "*" * 65536 + "@allowed.test", ("*a" * 40) + "@allowed.test",
    # S152: what is not exactly one pattern
    " user@allowed.test ", "user@allowed.test\n", "\tuser@allowed.test",
    "user@allowed.test\r\nRCPT TO:<real@evil.example>", "User <user@allowed.test>",
    "<user@allowed.test>", "user@allowed.test,real@evil.example",
    "user@allowed.test real@evil.example", '"user"@allowed.test', "mailto:user@allowed.test", "",
    "@", "a@b@c.test", "user@", "user@[127.0.0.1]", "user@allowed.test.", ".", "user@-a.test",
    "us\u00e9r@allowed.test", "user@al_lowed.test", "user\u0000@allowed.test", "u" * (1 << 20),
], ids=lambda pattern: repr(pattern)[:40])
def test_s151_s152_what_is_no_pattern_is_refused(house, pattern):
    try:
        answer = house.request("POST", "/api/v1/whitelist", {"pattern": pattern})
        assert answer.status in (400, 413), (answer.status, answer.body)
        assert answer.headers["Content-Type"] == "application/problem+json"
    except (BrokenPipeError, ConnectionResetError):
        assert len(pattern) >= 65536  # a body that is too long is not read to its end
    assert house.get("/whitelist")["items"] == []


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One daemon for many requests that must change nothing."""
    house = Daemon(tmp_path_factory.mktemp("house")).start()
    yield house
    house.close()


def test_s154_one_row_for_all_spellings(relay, hop):
    (entry,) = relay.allow("User@Allowed.TEST")
    for spelling in (USER, "USER@ALLOWED.TEST"):
        again = relay.post("/whitelist", {"pattern": spelling}, want=(409,)).json
        assert again["existing_id"] == entry
    # An entry by its U-label is the one by its A-label.
    (umlaut,) = relay.allow("b\u00fccher.example")
    again = relay.post("/whitelist", {"pattern": "XN--bcher-kva.example"}, want=(409,)).json
    assert again["existing_id"] == umlaut
    assert [i["pattern"] for i in relay.get("/whitelist")["items"]] == [
        USER, "xn--bcher-kva.example"]
    relay.remove(entry)
    number = send(relay, "USER@allowed.test", USER)
    wait_for(lambda: set(relay.states(number).values()) == {"dropped"}, "both to be dropped")
    assert hop.connections == 0


def test_s113_unsafe_forms_stay_unsafe_beside_rules(relay, hop):
    """Any rule makes the whole envelope be judged once more when the message is there."""
    relay.allow("allowed.test")
    relay.post("/rules", {"name": "tag", "action": "tag", "tag": "[x] "})
    for form in ("<@evil.example:user@allowed.test>", '<"user"@allowed.test>',
                 "<us%er@allowed.test>"):
        with Smtp(relay.smtp_port) as client:
            assert client.command("MAIL FROM:<%s>" % SENDER)[0] == 250
            assert client.command("RCPT TO:" + form)[0] == 250
            assert client.command("DATA")[0] == 354
            client.write(BODY + b".\r\n")
            number = queued_id(client.reply())
        (recipient,) = relay.message(number)["recipients"]
        assert recipient["state"] == "dropped", (form, recipient)
        assert "unsafe" in recipient["reason"]
    relay.wait_states(send(relay, USER), {USER: "delivered"})
    assert hop.offered == [USER]


# --- when ------------------------------------------------------------------------------------------


def test_s155_removed_while_mail_is_queued(relay, hop):
    (entry,) = relay.allow(USER)
    relay.post("/delivery/pause")
    number = send(relay, USER)
    relay.wait_states(number, {USER: "queued"})
    relay.remove(entry)
    relay.post("/delivery/resume")
    relay.wait_states(number, {USER: "dropped"})
    recipient = relay.message(number)["recipients"][0]
    assert recipient["reason"].startswith("whitelist changed")
    assert hop.offered == []
    # Put back (S158): what was dropped waits for a person.
    relay.allow(USER)
    second = send(relay, USER)
    relay.wait_states(second, {USER: "delivered"})
    assert relay.states(number) == {USER: "dropped"} and hop.offered == [USER]


def test_s156_removed_between_two_tries(relay, hop):
    (entry,) = relay.allow(USER)
    hop.replies = {USER: "451 4.2.0 later"}
    number = send(relay, USER)
    relay.wait_states(number, {USER: "deferred"})
    relay.remove(entry)
    tried = len(hop.offered)
    hop.replies = {}
    relay.wait_states(number, {USER: "dropped"})
    assert "whitelist changed" in relay.message(number)["recipients"][0]["reason"]
    # An attempt under way when it was removed may have come to its RCPT.
    assert len(hop.offered) <= tried + 1 and hop.snapshot() == []


def test_s158_added_when_mail_is_held(make_daemon, hop):
    """Nothing that was put away leaves because of a new entry; a release lets it go."""
    relay = make_daemon(hop.address, "policy: {default: hold}\n")
    number = send(relay, USER)
    relay.wait_states(number, {USER: "held"})
    relay.allow(USER)
    second = send(relay, USER)
    relay.wait_states(second, {USER: "delivered"})
    relay.restart()
    third = send(relay, USER)
    relay.wait_states(third, {USER: "delivered"})
    assert relay.states(number) == {USER: "held"}
    relay.post("/messages/%s/release" % number)
    relay.wait_states(number, {USER: "delivered"})
    assert len(hop.snapshot()) == 3


def test_s159_releases_are_judged(relay, hop):
    """And whom they name is read by the one parser: the string judged is the string sent."""
    relay.allow("other@allowed.test")
    number = send(relay, USER, "real@evil.example")
    relay.wait_states(number, {USER: "dropped", "real@evil.example": "dropped"})
    for text in ("Real <other@allowed.test>", "other@allowed.test,real@evil.example",
                 "other@allowed.test <real@evil.example>", "real@evil.example (other@allowed.test)",
                 "<real@evil.example>", "real@evil.example\r\nRCPT TO:<other@allowed.test>", ""):
        relay.post("/messages/%s/release" % number, {"recipients": [text]}, want=(400,))
    relay.post("/messages/%s/release" % number, {"recipients": ["real@evil.example"]},
               want=(200, 403, 409))
    # Somebody who is listed, but not a recipient of this message.
    relay.post("/messages/%s/release" % number, {"recipients": ["other@allowed.test"]},
               want=(200, 404, 409))
    relay.allow(USER)
    relay.post("/messages/%s/release" % number, {"recipients": [USER]})
    relay.wait_states(number, {USER: "delivered", "real@evil.example": "dropped"})
    assert hop.offered == [USER]


def fifty(source):
    """Ten of each kind, in any order: (RCPT argument, the code it gets)."""
    exact = ["exact%d@one.test" % i for i in range(10)]
    lines = [("<%s>" % a, 250) for a in exact]
    lines += [("<any%d@wild.test>" % i, 250) for i in range(10)]
    lines += [("<real%d@evil.example>" % i, 250) for i in range(10)]
    lines += [("<bad%d@allowed.test.>" % i, 501) for i in range(10)]
    lines += [("<exact%d@ONE.test>" % i, 250) for i in range(10)]
    source.shuffle(lines)
    return lines


def test_s167_fifty_recipients_in_any_order(make_daemon, hop):
    seed = random.randrange(1 << 30)
    source = random.Random(seed)
    relay = make_daemon(hop.address, "smtp: {max_errors: 1000}\n")
    relay.allow("wild.test", *("exact%d@one.test" % i for i in range(10)))
    want = {"any%d@wild.test" % i: "delivered" for i in range(10)}
    want.update({"exact%d@one.test" % i: "delivered" for i in range(10)})
    want.update({"real%d@evil.example" % i: "dropped" for i in range(10)})
    with Smtp(relay.smtp_port) as client:
        for turn in range(3):
            assert client.command("MAIL FROM:<%s>" % SENDER)[0] == 250
            for argument, code in fifty(source):
                assert client.command("RCPT TO:" + argument)[0] == code, (seed, argument)
            assert client.command("DATA")[0] == 354
            client.write(BODY + b".\r\n")
            number = client.reply()[1].split("queued as ")[1][:26]
            wait_for(lambda: {a.lower(): s for a, s in relay.states(number).items()} == want,
                     "%d: %s" % (seed, relay.states(number)))
            assert sorted(a.lower() for a in hop.offered) == sorted(
                a for a, state in want.items() if state == "delivered"), seed
            assert len(hop.snapshot()) == turn + 1
            hop.offered.clear()


def test_s168_nobody_listed_no_connection(relay, hop):
    relay.allow("somebody@else.test")
    number = send(relay, USER, "real@evil.example")
    relay.wait_states(number, {USER: "dropped", "real@evil.example": "dropped"})
    # A listed one afterwards shows that there was time enough.
    relay.wait_states(send(relay, "somebody@else.test"), {"somebody@else.test": "delivered"})
    assert hop.connections == 1 and hop.offered == ["somebody@else.test"]


def test_s170_what_has_expired_stays_expired(relay, hop):
    relay.post("/whitelist", {"pattern": USER, "expires_in": "2s"})
    first = send(relay, USER)
    relay.wait_states(first, {USER: "delivered"})
    wait_for(lambda: verdicts(relay, USER) == ["drop"], "the entry to expire")
    second = send(relay, USER)
    relay.wait_states(second, {USER: "dropped"})
    assert "expired" in relay.message(second)["recipients"][0]["reason"]
    relay.restart()
    relay.wait_states(send(relay, USER), {USER: "dropped"})
    assert hop.offered == [USER]


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has its own calls")
@pytest.mark.parametrize("jump", [YEAR_MS, -YEAR_MS], ids=["a year on", "a year back"])
def test_s170_clocks_that_jump(make_daemon, hop, tmp_path, monkeypatch, jump):
    """By a clock that never runs backwards while we do: what is over is over."""
    clock = Preload("tests/fault/fake_clock.c", tmp_path, monkeypatch)
    relay = make_daemon(hop.address)
    relay.post("/whitelist", {"pattern": "short@allowed.test", "expires_in": "1s"})
    relay.post("/whitelist", {"pattern": "day@allowed.test", "expires_in": "1d"})
    wait_for(lambda: verdicts(relay, "short@allowed.test") == ["drop"], "the entry to expire")
    clock(jump)
    time.sleep(0.2)
    assert verdicts(relay, "short@allowed.test") == ["drop"]
    number = send(relay, "short@allowed.test")
    relay.wait_states(number, {"short@allowed.test": "dropped"})
    # A day is over after a year, and is not when the clock was set back.
    assert verdicts(relay, "day@allowed.test") == ["drop" if jump > 0 else "deliver"]
    # Nor does a start bring back what was over, whatever the clock says then.
    relay.restart()
    assert verdicts(relay, "short@allowed.test") == ["drop"]
    clock(-jump)
    relay.restart()
    assert verdicts(relay, "short@allowed.test") == ["drop"]
    assert hop.offered == []
