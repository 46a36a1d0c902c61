"""The ledger itself: a true story passes, and each kind of broken promise is named."""

import json
import pathlib
import subprocess
import sys

import pytest

from daemon import Smtp
from ledger import Judge, Ledger, pattern_matches, sha256

NUMBER = "01M7ZAESFN8A97FQ93D6GENCVW"
BEGIN = 1795273745.0  # 2026-11-21T15:09:05Z
BODY = b"Subject: x\r\n\r\nhello\r\n"


def at(seconds):
    return BEGIN + seconds


def said(seconds, event, **members):
    return {"fact": "wire", "hop": "127.0.0.1:25", "connection": 1, "at": at(seconds),
            "event": event, "sent": True, **members}


def rcpt(seconds, address, code=250):
    return said(seconds, "rcpt", address=address, line="RCPT TO:<%s>" % address, code=code)


def dot(seconds, *addresses, code=250, number=NUMBER, digest=sha256(BODY), **members):
    return said(seconds, "dot", id=number, sender="", recipients=list(addresses), code=code,
                sha256=digest, **members)


def row(address, state, reason="accepted by the next hop", code=250, **members):
    reply = {"code": code, "enhanced": "", "text": "x"} if code else None
    history = [{"at": "2026-11-21T15:09:08.000Z", "event": state, "state": state,
                "reason": reason, "reply": reply}]
    return {"address": address, "state": state, "reason": reason, "last_reply": reply,
            "history": history, **members}


def story():
    """Three recipients: delivered, refused for good, dropped."""
    return [
        {"fact": "allowed", "at": at(-10), "entry": 1, "pattern": "example.com"},
        {"fact": "accepted", "at": at(0), "message": NUMBER, "sender": "a@x.test",
         "recipients": ["alice@example.com", "bob@Example.COM", "eve@other.test"],
         "sha256": sha256(BODY), "leaves": sha256(BODY)},
        rcpt(1, "alice@example.com"), rcpt(1, "bob@example.com", 550),
        dot(2, "alice@example.com"),
        {"fact": "message", "id": NUMBER, "received_at": "2026-11-21T15:09:05.000Z",
         "sha256": sha256(BODY), "recipients": [
             row("alice@example.com", "delivered"),
             row("bob@Example.COM", "failed", "RCPT TO: 550 x", 550),
             row("eve@other.test", "dropped", "no entry allows it", None)]},
    ]


def recipients(facts):
    return facts[-1]["recipients"]


def found(facts, **options):
    """The kinds of broken promises."""
    report = Judge(facts, **options).judge()
    return {name for name in ("leaks", "lost", "duplicates", "lies") if getattr(report, name)}


def test_a_true_story_passes():
    report = Judge(story()).judge()
    assert report.kept, report.text()
    assert report.waiting == []
    assert report.counts["answered 250 to clients"] == 1
    assert report.counts["recipients delivered"] == 1


# --- P1


def test_a_leak_is_named():
    facts = story()
    facts.insert(2, rcpt(1, "eve@other.test"))
    assert found(facts) == {"leaks"}


def test_refused_by_the_next_hop_is_a_leak_all_the_same():
    assert found([*story(), rcpt(1, "eve@other.test", 550)]) == {"leaks"}


def test_an_entry_removed_before_the_rcpt_is_a_leak():
    facts = story()
    facts.append({"fact": "removed", "at": at(-5), "entry": 1})
    assert "leaks" in found(facts)
    facts[-1]["at"] = at(0.5)  # the line was under way
    assert found(facts) == set()


def test_deny_wins():
    facts = story()
    facts.append({"fact": "allowed", "at": at(-9), "entry": 2, "pattern": "alice@example.com",
                  "action": "deny"})
    assert "leaks" in found(facts)


@pytest.mark.parametrize("pattern, address, want", [
    ("alice@example.com", "Alice@EXAMPLE.com", True),
    ("alice@example.com", "alice@example.com.evil.test", False),
    ("alice+*@example.com", "alice+x@example.com", True),
    ("alice+*@example.com", "alice@example.com", False),
    ("example.com", "x@example.com", True),
    ("@example.com", "x@sub.example.com", False),
    (".example.com", "x@a.b.example.com", True),
    ("*.example.com", "x@example.com", False),
    ("*.example.com", "x@evilexample.com", False),
    ("qa-*@.example.com", "qa-1@sub.example.com", True),
    ("*", "x@any.test", True),
])
def test_patterns(pattern, address, want):
    assert pattern_matches(pattern, address) == want


# --- P2


def test_a_message_that_is_gone_is_lost():
    facts = story()
    facts.append({**facts[1], "message": NUMBER[:-1] + "X"})
    assert found(facts) == {"lost"}


def test_a_recipient_without_a_row_is_lost():
    facts = story()
    del recipients(facts)[2]
    assert found(facts) == {"lost"}


def test_delivered_without_a_dot_is_lost():
    facts = story()
    del facts[4]
    assert found(facts) == {"lost"}


def test_delivered_by_a_dot_that_was_refused_is_lost():
    facts = story()
    facts[4]["code"] = 451
    assert "lost" in found(facts)


def test_dropped_though_allowed_is_lost():
    facts = story()
    del facts[2:5]
    recipients(facts)[0] = row("alice@example.com", "dropped", "no entry allows it", None)
    del recipients(facts)[1]
    facts[1]["recipients"].remove("bob@Example.COM")
    assert found(facts) == {"lost"}


def test_stored_bytes_that_changed_are_a_loss():
    facts = story()
    facts[-1]["sha256"] = sha256(BODY + b"x")
    assert found(facts) == {"lost"}


def test_waiting_recipients_are_counted():
    facts = story()
    recipients(facts)[1] = row("bob@Example.COM", "deferred", "RCPT TO: 550 x", 550)
    report = Judge(facts).judge()
    assert report.kept and len(report.waiting) == 1


# --- P3


def test_a_second_copy_is_a_duplicate():
    assert found([*story(), dot(9, "alice@example.com")]) == {"duplicates"}


def test_a_second_copy_after_a_kill_in_flight_is_none():
    facts = [*story(), dot(9, "alice@example.com")]
    assert found([*facts, {"fact": "killed", "at": at(2.2)}]) == set()
    assert found([*facts, {"fact": "killed", "at": at(5)}]) == {"duplicates"}
    assert found([*facts, {"fact": "killed", "at": at(1)}]) == {"duplicates"}


def test_a_second_copy_after_an_answer_that_never_left_is_none():
    facts = story()
    facts[4]["sent"] = False
    facts.append(dot(9, "alice@example.com"))
    assert found(facts) == set()
    # Neither is one behind a dot that the next hop did not take.
    facts[4].update(sent=True, code=None)
    assert found(facts) == set()


def test_copies_that_differ_are_told():
    facts = [*story(), dot(9, "alice@example.com", digest=sha256(b"other")),
             {"fact": "killed", "at": at(2.2)}]
    assert found(facts) == {"duplicates", "lies"}


# --- P4, P5


def test_failed_though_taken_is_a_lie():
    facts = story()
    recipients(facts)[0] = row("alice@example.com", "failed", "RCPT TO: 550 x", 550)
    assert "lies" in found(facts)
    # A copy that came in flight may be followed by a no.
    recipients(facts)[0] = row("alice@example.com", "failed", "greeting: 550 x", 550)
    facts += [{"fact": "killed", "at": at(2.1)}, said(3, "mail", code=550)]
    assert found(facts) == set()


def test_failed_by_a_temporary_no_is_a_lie():
    facts = story()
    recipients(facts)[1] = row("bob@Example.COM", "failed", "RCPT TO: 450 x", 450)
    facts[3]["code"] = 450
    assert found(facts) == {"lies"}


def test_a_reply_that_nobody_gave_is_a_lie():
    facts = story()
    recipients(facts)[1]["history"][0]["reply"]["code"] = 552
    assert found(facts) == {"lies"}
    # Said to somebody else does not help.
    facts.append(rcpt(1, "carol@example.com", 552))
    assert found(facts) == {"lies"}
    facts.append(said(1, "data", code=552))
    assert found(facts) == set()


def test_a_state_without_a_reason_is_a_lie():
    facts = story()
    recipients(facts)[2]["reason"] = None
    assert found(facts) == {"lies"}


def test_a_redirect_to_nobody_is_a_lie():
    facts = story()
    recipients(facts)[2].update(state="redirected", redirect_to="qa@team.test")
    assert found(facts) == {"lies"}
    recipients(facts).append(row("qa@TEAM.test", "dropped", "no entry allows it", None))
    assert found(facts) == set()


def test_a_message_nobody_knows_is_a_lie():
    assert found([*story(), dot(3, "alice@example.com", number=None)]) == {"lies"}


def test_somebody_elses_message_is_a_lie():
    facts = [*story(), rcpt(3, "carol@example.com"), dot(3, "carol@example.com")]
    assert found(facts) == {"lies"}


def test_other_bytes_than_came_in_are_a_lie():
    facts = story()
    facts[4]["sha256"] = sha256(BODY[:-4])
    assert found(facts) == {"lies"}


# --- as a command, and with the real thing


def run_command(folder, facts, *arguments):
    file = folder / "facts.jsonl"
    file.write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    program = pathlib.Path(__file__).with_name("ledger.py")
    return subprocess.run([sys.executable, "-B", program, file, *arguments], text=True,
                          capture_output=True, check=False)


def test_command(tmp_path):
    done = run_command(tmp_path, story())
    assert done.returncode == 0 and "LEAKS: 0" in done.stdout, done
    done = run_command(tmp_path, [*story(), rcpt(1, "eve@other.test")])
    assert done.returncode == 1 and "eve@other.test was offered to 127.0.0.1:25" in done.stdout


def test_api_and_database_tell_the_same(relay, hop, tmp_path):
    """And what happens behind the daemon's back is found in both."""
    ledger = Ledger(hop)
    ledger.allow(relay, "example.com")
    hop.replies["bob@example.com"] = "550 5.1.1 nobody here"
    hop.final_replies = ["451 4.3.0 later"]
    to = ["alice@example.com", "bob@example.com", "eve@other.test"]
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@x.test", to, BODY)
    ledger.accepted(number, "a@x.test", to, BODY)
    relay.wait_states(number, {"alice@example.com": "delivered", "bob@example.com": "failed",
                               "eve@other.test": "dropped"})
    by_api = ledger.check(relay)
    relay.stop()
    database = relay.data_dir / "stagepost.db"
    by_database = ledger.check(database=database)
    assert by_api.text() == by_database.text()
    assert by_api.counts["final dots on the wire"] == 2
    done = run_command(tmp_path, ledger.collect(), "--database", database)
    assert done.returncode == 0, done.stdout
    ledger.accepted(NUMBER, "a@x.test", to)
    ledger.facts[0]["pattern"] = "alice@example.com"
    done = run_command(tmp_path, ledger.collect(), "--database", database)
    assert done.returncode == 1
    assert "LEAKS: 1" in done.stdout and "LOST: 1" in done.stdout, done.stdout
