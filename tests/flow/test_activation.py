"""Sockets that are handed over, and a restart behind them (sd_listen_fds(3); DESIGN 4.1)."""

import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from daemon import STAGEPOSTD, Smtp, queued_id, wait_for

# Like a service manager between fork and exec: the sockets from 3 on, and whose they are.
HAND_OVER = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",")]
copies = [os.dup(fd) for fd in fds]
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(copies)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.closerange(3 + len(fds), 200)
os.environ["LISTEN_PID"] = str(os.getpid() + int(sys.argv[2]))
os.execv(sys.argv[3], sys.argv[3:])
"""


def start_with(relay, sockets, names=None, count=None, wrong_pid=0, wait=True):
    env = dict(os.environ, LISTEN_FDS=str(len(sockets) if count is None else count))
    if names is not None:
        env["LISTEN_FDNAMES"] = names
    fds = [s.fileno() for s in sockets]
    with open(relay.log_path, "ab") as log:
        relay.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", HAND_OVER, ",".join(map(str, fds)), str(wrong_pid),
             STAGEPOSTD, "-c", relay.config],
            pass_fds=fds, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            cwd=relay.folder)
    if wait:
        wait_for(relay.is_ready, "the daemon to be ready")


def refused(relay):
    """The exit code of one that must not start."""
    code = relay.process.wait(30)
    relay.process = None
    return code


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as server:
        yield server


@pytest.fixture
def off(make_daemon, listener):
    """Not started; its listener has the address of the socket."""
    relay = make_daemon(start=False)
    relay.smtp_port = listener.getsockname()[1]
    relay.write_config()
    return relay


def send_one(relay):
    with Smtp(relay.smtp_port) as client:
        return client.send("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\n")


@pytest.mark.parametrize("names", [None, "", "unknown", "stagepost.socket"])
def test_by_address(off, listener, names):
    start_with(off, [listener], names)
    send_one(off)
    assert off.get("/status")["listeners"] == [off.smtp_address]


def test_by_name(make_daemon, listener):
    """Where the address says nothing the name does; the other listener is opened as usual."""
    relay = make_daemon(start=False)
    own = relay.smtp_port
    text = relay.config.read_text().replace(
        "listeners: [", 'listeners: [{address: "127.0.0.1:1"}, ')
    relay.config.write_text(text)
    start_with(relay, [listener], "listeners.0")
    for port in (own, listener.getsockname()[1]):
        relay.smtp_port = port
        send_one(relay)


def test_unix_socket(make_daemon, tmp_path):
    relay = make_daemon(start=False)
    path = str(tmp_path / "smtp")
    relay.config.write_text(relay.config.read_text().replace(relay.smtp_address, "unix:" + path))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        start_with(relay, [server])
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            assert client.recv(1000).startswith(b"220 ")


def test_for_somebody_else(off, listener):
    """LISTEN_PID names another process: nothing was handed over, and the address is taken."""
    start_with(off, [listener], wrong_pid=1, wait=False)
    assert refused(off) == 75, off.log()


@pytest.mark.parametrize("count", ["x", "-1", "1000", ""])
def test_variables_without_sense(off, listener, count):
    start_with(off, [listener], count=count, wait=False)
    assert refused(off) == 78, off.log()
    assert "LISTEN_FDS" in off.log()


def test_sockets_that_nobody_wants(off, listener):
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as deaf:
        for extra, word in ((other, "which no listener has"), (deaf, "no listening stream socket"),
                            (listener, "is the second")):
            start_with(off, [listener, extra], "one:two", wait=False)
            assert refused(off) == 78, off.log()
            assert word in off.log() and "(two)" in off.log()


class Stream:
    """Clients one after the other, each with a message, until they are told to stop."""

    def __init__(self, port):
        self.port = port
        self.stop = threading.Event()
        self.queued = []
        self.told_later = 0  # 421: try again
        self.lost = []
        self.slowest = 0.0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(4)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        count = 0
        while not self.stop.is_set():
            count += 1
            begin = time.monotonic()
            try:
                self.send("%d.%d@example.com" % (number, count))
            except Exception as failure:  # refused, reset, no answer: what must not be
                self.lost.append(repr(failure))
            self.slowest = max(self.slowest, time.monotonic() - begin)

    def send(self, recipient):
        with socket.create_connection(("127.0.0.1", self.port), 30) as client:
            reader = client.makefile("rb")
            for line in (None, b"HELO client.test", b"MAIL FROM:<a@example.com>",
                         b"RCPT TO:<%s>" % recipient.encode(), b"DATA",
                         b"Subject: x\r\n\r\n."):
                if line is not None:
                    try:
                        client.sendall(line + b"\r\n")
                    except ConnectionError:
                        pass  # then there is a 421 to read
                answer = reader.readline()
                if answer.startswith(b"421 "):
                    self.told_later += 1
                    return
                assert answer[:1] in (b"2", b"3"), (line, answer)
            self.queued.append(queued_id((250, answer.decode())))

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)


def test_restart_loses_no_connection(off, listener):
    """Three restarts under a stream of clients: each gets a true answer, none is refused or reset."""
    start_with(off, [listener])
    stream = Stream(off.smtp_port)
    for how in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        seen = len(stream.queued)
        wait_for(lambda: len(stream.queued) > seen + 30, "mail to flow")
        process, off.process = off.process, None
        process.send_signal(how)
        assert process.wait(40) == 0
        start_with(off, [listener])
    seen = len(stream.queued)
    wait_for(lambda: len(stream.queued) > seen + 30, "mail to flow")
    stream.finish()
    print("%d queued, %d told 421, slowest %.2f s" % (
        len(stream.queued), stream.told_later, stream.slowest))
    assert stream.lost == []
    # What was answered 250 is there (P2).
    for number in stream.queued[::20]:
        assert off.message(number)["sender"] == "a@example.com"
    assert off.get("/status")["sessions"] == 0
