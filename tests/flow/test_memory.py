"""What messages on their way hold in memory (CASES S082, S201)."""

import os
import threading

import pytest

from daemon import Smtp, queued_id, stuff, wait_for, without_received


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


def long_lines():
    """One line each, as long as a message may be; the last with lines around the limits."""
    megabyte = 1 << 20
    bodies = [b"." * (49 * megabyte),
              b"0123456789." * (3 * megabyte),
              b"..x" * (7 * megabyte),
              b"\x00\xff. " * (5 * megabyte),
              b"x" * (20 * megabyte)]
    limits = [998, 999, 4095, 4096, 4097, 65536]
    bodies.append(b"".join(b"." * n + b"\r\n" + b"y" * n + b"\r\n" for n in limits)
                  + b"." * (20 * megabyte))
    return [b"Subject: line\r\n\r\n" + body + b"\r\n" for body in bodies]


def test_long_lines(frugal, make_daemon, hop):
    """S201: never cut in two, and in memory only piece by piece, also several at once."""
    contents = long_lines()
    recipients = ["r%d@example.com" % i for i in range(len(contents))]
    relay = make_daemon()  # no route yet: they wait
    before = memory_of(relay, "VmRSS")
    relay.allow("example.com")
    with Smtp(relay.smtp_port) as client:
        numbers = [client.send("a@example.com", [to], content)
                   for to, content in zip(recipients, contents)]
    relay.write_config('routes: [{name: test, hosts: ["%s"], tls: none, max_connections: %d}]\n'
                       % (hop.address, len(contents)))
    hop.hold_data_after = 1 << 16
    relay.restart()
    wait_for(lambda: hop.connections == len(contents), "all to be under way")
    hop.resume.set()
    wait_for(lambda: len(hop.snapshot()) == len(contents), "all of them", 120)
    # Of the new process, which took nothing in. The lines have 168 MiB.
    peak = memory_of(relay, "VmHWM") - before
    for number, to in zip(numbers, recipients):
        relay.wait_states(number, {to: "delivered"})
    print("peak %d MiB" % (peak >> 20))
    for to, content in zip(recipients, contents):
        copies = hop.copies_for(to)
        assert len(copies) == 1
        assert without_received(copies[0].content) == content
    assert peak < 64 << 20
