"""What messages on their way in hold in memory (CASES S082)."""

import os
import threading

import pytest

from daemon import Smtp, queued_id, stuff


@pytest.fixture
def frugal(monkeypatch):
    """AddressSanitizer keeps what was freed for a while: here only little of it."""
    monkeypatch.setenv("ASAN_OPTIONS",
                       os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8")


def memory_of(relay, line):
    """VmRSS or VmHWM (the peak), in bytes."""
    with open("/proc/%d/status" % relay.process.pid, encoding="ascii") as status:
        for text in status:
            if text.startswith(line + ":"):
                return int(text.split()[1]) * 1024
    raise AssertionError(line)


def test_more_than_the_budget(frugal, make_daemon):
    """S082: sessions over smtp.memory wait for each other, and all of them come to their end."""
    sessions = 24
    content = b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 130000  # 10 MB
    data = stuff(content)
    relay = make_daemon(settings="smtp: {memory: 2M}\n")
    before = memory_of(relay, "VmRSS")
    answers = []

    def send():
        with Smtp(relay.smtp_port) as client:
            client.envelope("a@example.com", ["b@example.com"])
            client.write(data + b".\r\n")
            answers.append(client.reply())

    threads = [threading.Thread(target=send, daemon=True) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert {code for code, _ in answers} <= {250, 452}
    taken = [queued_id(answer) for answer in answers if answer[0] == 250]
    assert len(taken) > sessions // 2
    # Buffers of the writer (64 MiB of chunks at most) and of SQLite, not sessions times message.
    peak = memory_of(relay, "VmHWM") - before
    print("peak %d MiB, %d of %d taken" % (peak >> 20, len(taken), sessions))
    assert peak < 100 << 20
    for number in taken:
        assert relay.request("GET", "/api/v1/messages/%s/raw" % number).body == content
