"""
A hundred thousand messages for a next hop that is away, from one application, and what
that costs (S242). On demand, after `make bench-programs`:
STAGEPOST_BUILD=build python3 -m pytest -s tests/soak/test_backlog_soak.py
STAGEPOST_SOAK_MESSAGES: how many (default 100000).
"""

import os
import pathlib
import smtplib
import socket
import subprocess
import time

from daemon import BUILD, free_port, wait_for

MESSAGES = int(os.environ.get("STAGEPOST_SOAK_MESSAGES", "100000"))


class Sink:
    def __init__(self, port):
        self.port = port
        self.process = subprocess.Popen([BUILD / "tests/bench/sink", "127.0.0.1:%d" % port],
                                        stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def __enter__(self):
        wait_for(self.is_there, "the sink")
        return self

    def is_there(self):
        try:
            return self.count() is not None
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def count(self):
        with socket.create_connection(("127.0.0.1", self.port), 10) as s:
            s.recv(1000)
            s.sendall(b"XCOUNT\r\n")
            words = s.recv(1000).decode().split()
        return {k: int(v) for k, v in (w.split("=") for w in words if "=" in w)}


def rss_mib(daemon):
    for line in pathlib.Path("/proc/%d/status" % daemon.process.pid).read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024


def load(daemon):
    subprocess.run([BUILD / "tests/bench/load", "--to", daemon.smtp_address, "--sessions", "50",
                    "--messages", str(MESSAGES), "--seconds", "600", "--size", "4096",
                    "--from", "app@sender.test", "--rcpt", "user@allowed.test"],
                   check=True, stdout=subprocess.DEVNULL)


def one_message(daemon):
    """Of another application: from another address. Seconds until it has left."""
    began = time.monotonic()
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, source_address=("127.0.0.7", 0)) as smtp:
        smtp.ehlo()
        smtp.mail("b@sender.test")
        smtp.rcpt("single@allowed.test")
        number = smtp.data("Subject: one\r\n\r\nhello\r\n")[1].decode().split()[-1]
    wait_for(lambda: daemon.states(number) == {"single@allowed.test": "delivered"}, "it to leave")
    return time.monotonic() - began


def recipients(daemon):
    return daemon.get("/status")["queue"]["recipients"]


def come_back(daemon, sink):
    wait_for(lambda: sink.count()["messages"] > 0, "it to be found again", 120)
    began, base = time.monotonic(), sink.count()["messages"]
    single = [one_message(daemon) for _ in range(3)]
    print("beside it left after %s s" % ", ".join("%.2f" % s for s in single))
    wait_for(lambda: recipients(daemon)["delivered"] == MESSAGES + 3, "the queue to drain", 600)
    seconds = time.monotonic() - began
    print("%.0f messages/s, RSS %.0f MiB, %s" % (
        (MESSAGES - base) / seconds, rss_mib(daemon), sink.count()))
    assert sink.count()["messages"] == MESSAGES + 3
    assert max(single) < 5


def test_a_long_queue_for_a_next_hop_that_comes_back(make_daemon):
    """S242"""
    port = free_port()
    daemon = make_daemon("127.0.0.1:%d" % port, settings="delivery: {workers: 20, schedule: [5s]}\n"
                         "smtp: {max_connections_per_client: 1000}\n")
    daemon.allow("allowed.test")
    before = rss_mib(daemon)
    began = time.monotonic()
    load(daemon)
    print("\naccepted %d in %.1f s" % (MESSAGES, time.monotonic() - began))
    wait_for(lambda: recipients(daemon).get("delivering", 0) == 0, "all to be put away", 120)
    cpu = daemon.cpu_seconds()
    time.sleep(10)
    print("away: %.2f s of CPU in 10 s, RSS %.0f MiB (%.0f before)" % (
        daemon.cpu_seconds() - cpu, rss_mib(daemon), before))
    assert daemon.cpu_seconds() - cpu < 2
    assert recipients(daemon)["deferred"] < 100  # tried, one after the other
    began = time.monotonic()
    assert daemon.restart()
    print("started in %.2f s" % (time.monotonic() - began))

    with Sink(port) as sink:
        come_back(daemon, sink)
    assert rss_mib(daemon) < before + 64
