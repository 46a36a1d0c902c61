"""The systems under test and the sink: started in a folder of their own, on loopback, and stopped."""

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ALLOWED = "allowed.test"
LISTED = [f"person{n}@listed.test" for n in range(200)]
PROCESSES = 550  # of a kind in Postfix: one a session
CONCURRENCY = 20  # deliveries at once, the same for everybody


class BenchError(Exception):
    """Said to the person who started the bench, without a trace."""


def free_port():
    """Below the range of outgoing connections: nobody's client takes it between two starts."""
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise BenchError("no free port between 20000 and 32000")


def wait_for_greeting(port, seconds=20):
    """Until a server greets on the port."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
                if client.recv(4).startswith(b"220"):
                    client.sendall(b"QUIT\r\n")
                    client.recv(100)
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise BenchError(f"nobody greets on port {port} after {seconds} s")


def make_certificate(folder):
    """(certificate, key) for every system, EC P-256; None when openssl(1) is not there."""
    pair = Path(folder) / "tls.crt", Path(folder) / "tls.key"
    program = shutil.which("openssl")
    if not program:
        return None
    subprocess.run(
        [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=bench.test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
         "-out", pair[0], "-keyout", pair[1]],
        capture_output=True, check=True)
    return pair


class Sink:
    """tests/bench/sink, and what it has counted."""

    def __init__(self, program, certificate):
        self.port = free_port()
        files = [str(file) for file in certificate or ()]
        self.process = subprocess.Popen([program, f"127.0.0.1:{self.port}", *files])
        wait_for_greeting(self.port)
        self.control = socket.create_connection(("127.0.0.1", self.port))
        self.replies = self.control.makefile("rb")
        self.replies.readline()
        self.pid = self.process.pid

    def _ask(self, verb):
        self.control.sendall(verb + b"\r\n")
        return self.replies.readline().decode().split()

    def reset(self):
        self._ask(b"XRESET")

    def count(self):
        return {k: int(v) for k, v in (word.split("=") for word in self._ask(b"XCOUNT")[1:])}

    def stop(self):
        self.control.close()
        self.process.terminate()
        self.process.wait()


class Postfix:
    """Debian's Postfix with its own configuration, queue and log. Needs root."""

    name = "Postfix"

    def __init__(self, folder, templates, sink_port, certificate):
        self.folder = Path(folder)
        self.templates = Path(templates)
        self.certificate = certificate
        self.sink_port = sink_port
        self.port = free_port()
        self.pid = None

    @staticmethod
    def missing(templates):
        """Why it cannot run here, or None."""
        if os.geteuid() != 0:
            return "Postfix is left out: its master needs root (run the bench as root)"
        if not shutil.which("postfix", path="/usr/sbin:/sbin"):
            return "Postfix is left out: not installed (apt-get install postfix)"
        if not (Path(templates) / "main.cf.in").is_file():
            return (
                f"Postfix is left out: no configuration in {templates} "
                "(set STAGEPOST_BENCH_POSTFIX)"
            )
        return None

    @staticmethod
    def version():
        out = subprocess.run(
            ["/usr/sbin/postconf", "-d", "-h", "mail_version"],
            capture_output=True,
            text=True,
            check=False,
        )
        return out.stdout.strip()

    def _fill(self, name):
        text = (self.templates / name).read_text(encoding="utf-8")
        for key, value in {
            "RUN": self.folder,
            "MAPTYPE": "hash",
            "PROCS": PROCESSES,
            "LISTEN": self.port,
            "SINK": self.sink_port,
        }.items():
            text = text.replace(f"@{key}@", str(value))
        return text

    def _postfix(self, verb):
        done = subprocess.run(
            ["/usr/sbin/postfix", "-c", str(self.folder / "etc"), verb],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def start(self, forward, tls_out=False):
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("etc", "spool", "data"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        shutil.chown(self.folder / "data", "postfix")
        main = self._fill("main.cf.in")
        if self.certificate:
            main += "\nsmtpd_tls_security_level = may\nsmtpd_tls_cert_file = %s\n" % (
                self.certificate[0])
            main += "smtpd_tls_key_file = %s\n" % self.certificate[1]
        if not forward:
            # Straight to the hold queue: the least work that keeps a message (with
            # defer_transports the queue manager spends as much again on deferring).
            main += "\nsmtpd_client_restrictions = static:HOLD\n"
        master = self._fill("master.cf.in")
        if tls_out:
            # Connections are kept over TLS too, which is its faster way.
            main += "\nsmtp_tls_security_level = encrypt\nsmtp_tls_connection_reuse = yes\n"
            master += "tlsproxy  unix  -  -  n  -     0  tlsproxy\n"
        (self.folder / "etc/main.cf").write_text(main, encoding="utf-8")
        (self.folder / "etc/master.cf").write_text(master, encoding="utf-8")
        table = self.folder / "transport"
        hop = f"smtp:[127.0.0.1]:{self.sink_port}"
        rows = "".join(f"{key} {hop}\n" for key in [ALLOWED, *LISTED])
        table.write_text(rows, encoding="utf-8")
        subprocess.run(
            ["/usr/sbin/postmap", "-c", str(self.folder / "etc"), f"hash:{table}"], check=True
        )
        code, said = self._postfix("start")
        if code != 0:
            raise BenchError(f"Postfix did not start: {said}{self.log_tail()}")
        wait_for_greeting(self.port)
        self.pid = int((self.folder / "spool/pid/master.pid").read_text(encoding="ascii"))

    def release(self):
        """What start(forward=False) has kept goes out now."""
        main = self.folder / "etc/main.cf"
        main.write_text(main.read_text(encoding="utf-8").replace("static:HOLD", ""),
                        encoding="utf-8")
        for program, *arguments in (("postfix", "reload"), ("postsuper", "-H", "ALL"),
                                    ("postqueue", "-f")):
            done = subprocess.run(
                [f"/usr/sbin/{program}", "-c", str(self.folder / "etc"), *arguments],
                capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BenchError(f"{program} failed: {done.stderr}")

    def stop(self):
        if self.pid:
            self._postfix("stop")
            for _ in range(100):
                if not os.path.exists(f"/proc/{self.pid}"):
                    break
                time.sleep(0.05)
            else:
                os.kill(self.pid, signal.SIGKILL)
            self.pid = None

    def log_tail(self):
        log = self.folder / "mail.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""


class Stagepost:
    """The daemon of this tree, its list set through the API."""

    name = "Stagepost"

    def __init__(self, folder, program, sink_port, certificate):
        self.folder = Path(folder)
        self.program = program
        self.certificate = certificate
        self.sink_port = sink_port
        self.port = free_port()
        self.admin_port = free_port()
        self.process = None
        self.pid = None

    @staticmethod
    def missing(program):
        if not os.access(program, os.X_OK):
            return f"Stagepost is left out: {program} is not there"
        return None

    def version(self):
        out = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=False)
        return out.stdout.strip().splitlines()[0] if out.stdout.strip() else ""

    @property
    def token(self):
        return (self.folder / "data/admin.token").read_text(encoding="ascii").strip()

    def api(self, method, path, body=None):
        """What it answers, parsed."""
        client = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=20)
        headers = {"Authorization": f"Bearer {self.token}"}
        if body:
            headers["Content-Type"] = "application/json"
        client.request(method, "/api/v1" + path, json.dumps(body) if body else None, headers)
        reply = client.getresponse()
        text = reply.read().decode()
        client.close()
        if reply.status >= 300:
            raise BenchError(f"Stagepost: {method} {path}: {reply.status} {text}")
        return json.loads(text) if text else None

    def _wait_for_token(self):
        """The API comes up beside the listener, not before it."""
        token = self.folder / "data/admin.token"
        for _ in range(100):
            if token.is_file() and token.stat().st_size > 0:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", self.admin_port), timeout=1).close()
                    return
            time.sleep(0.05)
        raise BenchError("the API does not come up")

    def _listener(self):
        listener = {"address": f"127.0.0.1:{self.port}"}
        if self.certificate:
            listener["tls"] = "starttls"
            listener["tls_certificate"] = str(self.certificate[0])
            listener["tls_key"] = str(self.certificate[1])
        return listener

    def _configuration(self, tls_out):
        tls = {"tls": "required", "tls_ca": str(self.certificate[0])} if tls_out else {"tls": "none"}
        # JSON is YAML.
        return json.dumps(
            {
                "hostname": "stagepost.bench.test",
                "data_dir": str(self.folder / "data"),
                "listeners": [self._listener()],
                "smtp": {"max_connections": 5000, "max_connections_per_client": 5000},
                "delivery": {"workers": CONCURRENCY},
                "routes": [
                    {
                        "name": "sink",
                        "domains": ["*"],
                        "hosts": [f"127.0.0.1:{self.sink_port}"],
                        **tls,
                        "max_connections": CONCURRENCY,
                    }
                ],
                "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
            }
        )

    def start(self, forward, tls_out=False):
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "data").mkdir(parents=True, mode=0o700)
        file = self.folder / "stagepost.yaml"
        file.write_text(self._configuration(tls_out), encoding="utf-8")
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [self.program, "-c", str(file)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self.pid = self.process.pid
        try:
            wait_for_greeting(self.port)
            self._wait_for_token()
            for pattern in [ALLOWED, *LISTED]:
                self.api("POST", "/whitelist", {"pattern": pattern})
            if not forward:
                self.api("POST", "/delivery/pause")
        except (BenchError, OSError) as problem:
            raise BenchError(f"{problem}\n{self.log_tail()}") from problem

    def release(self):
        """What start(forward=False) has kept goes out now."""
        self.api("POST", "/delivery/resume")

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = self.pid = None

    def log_tail(self):
        log = self.folder / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""


class Nginx:
    """
    nginx's mail proxy with auth_http answered by itself. It stores nothing: its client hears the
    sink's own 250, and a recipient behind the first one is never asked about.
    """

    name = "nginx"

    def __init__(self, folder, sink_port, certificate):
        self.folder = Path(folder)
        self.certificate = certificate
        self.sink_port = sink_port
        self.port = free_port()
        self.http_port = free_port()
        self.process = None
        self.pid = None

    @staticmethod
    def missing():
        if not shutil.which("nginx", path="/usr/sbin:/sbin"):
            return "nginx is left out: not installed (apt-get install nginx libnginx-mod-mail)"
        if not Path("/usr/lib/nginx/modules/ngx_mail_module.so").is_file():
            return "nginx is left out: no mail module (apt-get install libnginx-mod-mail)"
        return None

    @staticmethod
    def version():
        out = subprocess.run(["/usr/sbin/nginx", "-v"], capture_output=True, text=True, check=False)
        return out.stderr.strip().rpartition("/")[2]

    def _configuration(self):
        tls = ""
        if self.certificate:
            tls = "starttls on; ssl_certificate %s; ssl_certificate_key %s;" % self.certificate
        return f"""
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off; worker_processes 2; pid {self.folder}/pid; error_log {self.folder}/log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {self.folder}/b; proxy_temp_path {self.folder}/p;
    fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u;
    scgi_temp_path {self.folder}/s;
    server {{
        listen 127.0.0.1:{self.http_port};
        location / {{
            add_header Auth-Status OK; add_header Auth-Server 127.0.0.1;
            add_header Auth-Port {self.sink_port}; return 204;
        }}
    }}
}}
mail {{
    server_name nginx.bench.test; auth_http 127.0.0.1:{self.http_port}/;
    server {{
        listen 127.0.0.1:{self.port}; protocol smtp; smtp_auth none; xclient off;
        smtp_capabilities PIPELINING 8BITMIME "SIZE 104857600"; {tls}
    }}
}}
"""

    def start(self, forward, tls_out=False):
        if not forward or tls_out:
            raise BenchError("nginx stores nothing and speaks no TLS to a mail server")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        file = self.folder / "nginx.conf"
        file.write_text(self._configuration(), encoding="utf-8")
        self.process = subprocess.Popen(
            ["/usr/sbin/nginx", "-c", str(file), "-e", str(self.folder / "log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        wait_for_greeting(self.port)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = self.pid = None
