"""stagepostd as a user runs it, and clients that say exactly what they are told."""

import http.client
import json
import os
import pathlib
import random
import re
import resource
import signal
import socket
import subprocess
import time

BUILD = pathlib.Path(os.environ.get("STAGEPOST_BUILD", "build")).resolve()
STAGEPOSTD = BUILD / "stagepostd"
STAGEPOST = BUILD / "stagepost"
# A sanitizer makes everything slower.
PATIENCE = 60
PROGRAM = STAGEPOSTD.read_bytes() if STAGEPOSTD.exists() else b""
# Then what it promises of memory and time is not for measuring, and malloc is not the system's.
SANITIZED = b"__asan_init" in PROGRAM or b"__tsan_init" in PROGRAM
SANITIZER = re.compile(
    rb"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assertion .* failed")


def _ports():
    """Below the range that the kernel takes for connections: those come and go while we start."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = list(range(min(10000, low - 2000), low))
    random.shuffle(ports)
    yield from ports


_unused = _ports()


def free_port():
    """None twice in a run."""
    for port in _unused:
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            pass
    raise RuntimeError("no port is left")


def wait_for(condition, what, timeout=PATIENCE):
    """The first true answer of condition(), asked again and again."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, "waited %d s for: %s" % (timeout, what)
        time.sleep(0.05)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Daemon:
    def __init__(self, folder, next_hop=None, settings=""):
        self.folder = pathlib.Path(folder)
        self.data_dir = self.folder / "data"
        self.config = self.folder / "stagepost.yaml"
        self.log_path = self.folder / "log"
        self.smtp_port = free_port()
        self.api_port = free_port()
        self.next_hop = next_hop
        self.settings = settings
        self.process = None
        self.wrapper = []  # a program that runs the daemon, with its arguments
        self.max_files = None  # the limit of descriptors it is started with
        self.expected_exit = 0
        self.write_config(settings)

    @property
    def smtp_address(self):
        return "127.0.0.1:%d" % self.smtp_port

    def write_config(self, settings=""):
        """`settings`: further top-level keys as YAML."""
        text = "hostname: relay.test\ndata_dir: %s\n" % self.data_dir
        text += 'listeners: [{address: "127.0.0.1:%d"}]\n' % self.smtp_port
        text += 'admin: {listen: "127.0.0.1:%d"}\n' % self.api_port
        if "delivery:" not in settings:
            text += "delivery: {schedule: [300ms, 500ms, 1s]}\n"
        if self.next_hop and "routes:" not in settings:
            text += 'routes: [{name: test, hosts: ["%s"], tls: none}]\n' % self.next_hop
        self.config.write_text(text + settings)

    def start(self, *arguments, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, STAGEPOSTD, "-c", self.config, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                preexec_fn=self._limit_files if self.max_files else None)
        if wait:
            wait_for(self.is_ready, "the daemon to be ready:\n%s" % self.log())
        return self

    def _limit_files(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.max_files, self.max_files))

    def cpu_seconds(self):
        """Used by all its threads so far."""
        fields = pathlib.Path("/proc/%d/stat" % self.process.pid).read_text().split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def is_ready(self):
        assert self.process.poll() is None, "it exited: %s\n%s" % (
            self.process.returncode, self.log())
        try:
            return self.request("GET", "/readyz", token=None).status == 200
        except OSError:
            return False

    def log(self):
        return self.log_path.read_bytes().decode("utf-8", "replace")

    def hup(self):
        self.process.send_signal(signal.SIGHUP)

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.terminate()
        code = self.process.wait(40)
        self.process = None
        return code

    def restart(self):
        assert self.stop() == 0, self.log()
        return self.start()

    def close(self):
        """At the end of a test: a clean stop, and nothing that a sanitizer saw."""
        code = self.stop() if self.process is not None else 0
        log = self.log_path.read_bytes() if self.log_path.exists() else b""
        found = SANITIZER.search(log)
        assert not found, log[max(found.start() - 300, 0): found.start() + 6000].decode(
            "utf-8", "replace")
        assert code == 0, self.log()[-4000:]

    # --- the API -----------------------------------------------------------------

    @property
    def token(self):
        return (self.data_dir / "admin.token").read_text().strip()

    def request(self, method, path, body=None, token="admin", headers=(), raw=None):
        """`body`: becomes JSON. `raw`: bytes of the type that `headers` names."""
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=30)
        send = dict(headers)
        if token is not None:
            send["Authorization"] = "Bearer " + (self.token if token == "admin" else token)
        if body is not None:
            send["Content-Type"] = "application/json"
            body = json.dumps(body)
        try:
            connection.request(method, path, raw if raw is not None else body, send)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path):
        answer = self.request("GET", "/api/v1" + path)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.json

    def post(self, path, body=None, want=(200, 201, 202, 204)):
        answer = self.request("POST", "/api/v1" + path, body if body is not None else {})
        assert answer.status in want, (path, answer.status, answer.body)
        return answer

    def allow(self, *patterns):
        """The ids of the new entries."""
        return [self.post("/whitelist", {"pattern": p}).json["id"] for p in patterns]

    def remove(self, entry):
        """How many of its recipients are in flight."""
        answer = self.request("DELETE", "/api/v1/whitelist/%d" % entry)
        assert answer.status in (200, 204), (answer.status, answer.body)
        return answer.json["in_flight"] if answer.status == 200 else 0

    def message(self, message_id):
        return self.get("/messages/" + message_id)

    def states(self, message_id):
        """Address to state."""
        return {r["address"]: r["state"] for r in self.message(message_id)["recipients"]}

    def wait_states(self, message_id, want):
        wait_for(lambda: self.states(message_id) == want,
                 "%s to be %s" % (message_id, want))

    def all_items(self, path):
        """Every page of a list."""
        items = []
        after = None
        while True:
            page = self.get(path + ("&after=%s" % after if after else ""))
            items += page["items"]
            after = page["next"]
            if after is None:
                return items


class Listeners:
    """A daemon with listeners of its own: settings by name, each at a port of its own."""

    def __init__(self, make_daemon, hop=None, **listeners):
        self.ports = {name: free_port() for name in listeners}
        self.daemon = make_daemon(hop.address if hop else None, start=False)
        self.write(**listeners)

    def write(self, **listeners):
        lines = "\nlisteners:\n"
        for name, keys in listeners.items():
            lines += '  - {address: "127.0.0.1:%d", %s}\n' % (self.ports[name], keys)
        text = "\n".join(line for line in self.daemon.config.read_text().splitlines()
                         if not line.startswith(("listeners:", "  - {address:")))
        self.daemon.config.write_text(text + lines)


class Smtp:
    """A client that writes what it is given and nothing else."""

    def __init__(self, port, timeout=PATIENCE, greet=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")
        self.greeting = self.reply()
        if greet:
            assert self.command("EHLO client.test")[0] == 250

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()
        self.socket.close()

    def write(self, data):
        self.socket.sendall(data)

    def reply(self):
        """(code, text of all lines)"""
        lines = []
        while True:
            line = self.reader.readline()
            if not line:
                raise ConnectionError("closed after %r" % lines)
            lines.append(line[4:].decode("latin-1").rstrip("\r\n"))
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(lines)

    def command(self, line):
        self.write(line.encode() + b"\r\n")
        return self.reply()

    def envelope(self, sender, recipients):
        """MAIL, RCPT, DATA; each must be accepted."""
        assert self.command("MAIL FROM:<%s>" % sender)[0] == 250
        self.envelope_after_mail(recipients)

    def envelope_after_mail(self, recipients):
        for recipient in recipients:
            code, text = self.command("RCPT TO:<%s>" % recipient)
            assert code == 250, text
        code, text = self.command("DATA")
        assert code == 354, text

    def send(self, sender, recipients, content):
        """`content` is stuffed and ended here; the message id of the 250."""
        self.envelope(sender, recipients)
        self.write(stuff(content) + b".\r\n")
        return queued_id(self.reply())


def queued_id(reply):
    code, text = reply
    match = re.search(r"queued as ([0-9A-Z]{26})", text)
    assert code == 250 and match, reply
    return match.group(1)


def stuff(content):
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..")


def canonical(content):
    """What is stored (P5): a bare CR or LF becomes CRLF; the last line ends in one."""
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    return re.sub(rb"\r\n|\r|\n", b"\r\n", content)


# Exactly three lines: a message may begin with a line of blanks.
RECEIVED = re.compile(
    rb"Received: from [^\r\n]*\r\n\tby relay\.test [^\r\n]*\r\n\t[^\r\n]*\r\n")


def without_received(content):
    """What arrived, without the one field that we put in front."""
    match = RECEIVED.match(content)
    assert match, content[:400]
    return content[match.end():]
