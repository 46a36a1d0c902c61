"""Logins at the next hop: every mechanism, what a refusal does, tokens that change (S239)."""

import base64
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import time

import pytest

from certificates import Authority
from daemon import STAGEPOST, STAGEPOSTD, Smtp, free_port, wait_for
from nexthop import Conversation, NextHop
from test_client_told import postfix  # noqa: F401

MESSAGE = b"Subject: login\r\n\r\nhello\r\n"
ANN = "ann@allowed.test"
SECRET = "correct horse"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


class House:
    """A relay of ours that takes mail of who is logged in, with TLS, as a next hop."""

    def __init__(self, make_daemon, folder, authority):
        certificate, key = authority.sign("hop", "/CN=hop")
        users = folder / "hop-users"
        subprocess.run([STAGEPOST, "user", "add", "staging", "--scheme", "plain", "--file", users],
                       input=SECRET.encode(), stderr=subprocess.DEVNULL, check=True)
        self.port = free_port()
        self.daemon = make_daemon(start=False)
        text = "\n".join(line for line in self.daemon.config.read_text().splitlines()
                         if not line.startswith("listeners:"))
        self.daemon.config.write_text(
            text + '\nlisteners: [{address: "127.0.0.1:%d", tls: starttls, auth: required, '
            'tls_certificate: "%s", tls_key: "%s"}]\nusers: {file: "%s"}\n'
            % (self.port, certificate, key, users))
        self.daemon.start()

    def messages(self):
        return self.daemon.get("/messages")["items"]


class Front:
    """A relay that logs in; `route` replaces what its route says."""

    def __init__(self, make_daemon, port, authority):
        self.port = port
        self.authority = authority
        self.daemon = make_daemon(start=False)
        self.base = self.daemon.config.read_text()

    def configure(self, keys):
        self.daemon.config.write_text(
            self.base + 'routes: [{name: smart, hosts: ["127.0.0.1:%d"], tls_ca: "%s", '
            "username: staging, %s}]\n" % (self.port, self.authority.certificate, keys))

    def reload(self, keys):
        self.configure(keys)
        before = self.daemon.log().count("the new configuration is in force")
        self.daemon.hup()
        wait_for(lambda: self.daemon.log().count("the new configuration is in force") > before,
                 "the reload")

    def start(self, keys):
        self.configure(keys)
        self.daemon.start()
        self.daemon.allow("allowed.test")
        return self

    def send(self):
        with Smtp(self.daemon.smtp_port) as client:
            return client.send("a@shop.test", [ANN], MESSAGE)


def recipient(daemon, message):
    return daemon.message(message)["recipients"][0]


def warnings(daemon):
    return " | ".join(daemon.get("/status")["warnings"])


def test_mechanisms_with_a_relay_of_ours(make_daemon, tmp_path, authority):
    house = House(make_daemon, tmp_path, authority)
    front = Front(make_daemon, house.port, authority)
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    password.chmod(0o600)
    front.start("password_file: %s, auth: plain" % password)
    assert "bounce_to is empty and route smart logs in" in warnings(front.daemon)
    used = {"plain": "PLAIN", "login": "LOGIN", "cram-md5": "CRAM-MD5",
            "scram-sha-256": "SCRAM-SHA-256", "auto": "SCRAM-SHA-256"}
    for number, auth in enumerate(used, 1):
        front.reload("password_file: %s, auth: %s" % (password, auth))
        front.daemon.wait_states(front.send(), {ANN: "delivered"})
        message = house.daemon.message(house.messages()[0]["id"])
        assert len(house.messages()) == number
        assert message["client"]["user"] == "staging", auth
    logins = [line for line in house.daemon.log().splitlines() if "mechanism=" in line]
    for auth, name in used.items():
        assert any("mechanism=" + name in line for line in logins), auth
    assert SECRET not in front.daemon.log() + house.daemon.log()


def test_wrong_password(make_daemon, tmp_path, authority):
    house = House(make_daemon, tmp_path, authority)
    front = Front(make_daemon, house.port, authority).start("password: wr0ng-s3cret")
    message = front.send()
    front.daemon.wait_states(message, {ANN: "deferred"})
    reason = recipient(front.daemon, message)["reason"]
    assert 'login of "staging" refused' in reason and "535" in reason
    wait_for(lambda: "by route smart until its credentials" in warnings(front.daemon), "a warning")
    assert recipient(front.daemon, message)["kind"] == "configuration"
    # Due again after 300 ms, and put away until the password may be tried again.
    wait_for(lambda: "waits for route smart: the next hop rests: "
             in recipient(front.daemon, message)["reason"], "parking")
    time.sleep(1)
    assert recipient(front.daemon, message)["attempts"] == 1
    assert 'login of "staging" refused' in recipient(front.daemon, message)["reason"]
    assert front.daemon.log().count("refuses the credentials") == 1
    assert not house.messages()
    # A file that everybody reads is refused, and what there is stays.
    password = tmp_path / "password"
    password.write_text(SECRET)
    password.chmod(0o644)
    front.configure("password_file: %s" % password)
    front.daemon.hup()
    wait_for(lambda: "kept the old configuration" in front.daemon.log(), "a refused reload")
    assert "can be read by everybody" in front.daemon.log()
    password.chmod(0o600)
    front.reload("password_file: %s" % password)
    front.daemon.wait_states(message, {ANN: "delivered"})
    assert "credentials" not in warnings(front.daemon)
    everything = front.daemon.log() + json.dumps(front.daemon.message(message))
    for secret in (SECRET, "wr0ng-s3cret", base64.b64encode(b"\0staging\0wr0ng-s3cret").decode()):
        assert secret not in everything
    # Not on the command line of the daemon, in its configuration as printed, or in its database.
    printed = subprocess.run([STAGEPOSTD, "-c", front.daemon.config, "--print-config"],
                             capture_output=True, check=True).stdout.decode()
    assert SECRET not in printed and str(password) in printed
    stored = b"".join(f.read_bytes() for f in front.daemon.data_dir.iterdir() if f.is_file())
    assert b"wr0ng-s3cret" not in stored


class TokenConversation(Conversation):
    def on_command(self, verb, line):
        if verb == "MAIL" and not getattr(self, "user", None):
            self.answer("mail", "530 5.7.0 Authentication required", line=line)
        elif verb != "AUTH":
            super().on_command(verb, line)
        else:
            self.auth(line.split(" "))

    def auth(self, words):
        assert words[1] == "XOAUTH2" and self.secured
        coded = words[2] if len(words) > 2 else None
        if coded is None:
            self.answer("auth", "334 ")
            coded = self.line()
        said = base64.b64decode(coded, validate=True).decode()
        self.hop.tokens.append(said.split("Bearer ")[1].rstrip("\1"))
        if said == "user=staging\1auth=Bearer %s\1\1" % self.hop.right:
            self.user = "staging"
            self.answer("auth", "235 2.7.0 Accepted")
            return
        error = {"status": "400", "schemes": "bearer", "scope": "https://mail.example.com/"}
        self.answer("auth", "334 " + base64.b64encode(json.dumps(error).encode()).decode())
        assert self.line() == ""
        self.answer("auth", "535 5.7.8 Username and token not accepted")


class TokenHop(NextHop):
    """XOAUTH2 with the token `right`."""

    def __init__(self, authority):
        certificate, key = authority.sign("token", "/CN=token")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.right = "ya29.first"
        self.tokens = []
        super().__init__(extensions=("AUTH PLAIN LOGIN XOAUTH2",), context=context)

    def converse(self, connection, number):
        return TokenConversation(self, connection, number)


@pytest.mark.parametrize("source", ["file", "command"])
def test_tokens(make_daemon, tmp_path, authority, source):
    hop = TokenHop(authority)
    token = tmp_path / "token"
    token.write_text("ya29.first\n")
    token.chmod(0o600)
    keys = ("token_file: %s" % token if source == "file"
            else 'token_command: "echo run >>%s/runs; cat %s"' % (tmp_path, token))
    front = Front(make_daemon, hop.port, authority).start(keys + ", max_connections: 1")
    front.daemon.wait_states(front.send(), {ANN: "delivered"})
    assert hop.tokens == ["ya29.first"]
    # It runs out: the connection in use stays, the next one needs another token.
    hop.right = "ya29." + "long" * 200  # beyond what fits into the command
    token.write_text(hop.right + "\n")
    front.reload(keys)
    front.daemon.wait_states(front.send(), {ANN: "delivered"})
    # Nothing is known of another: one more look for it, one refusal, and the mail waits.
    token.write_text("ya29.stale\n")
    front.reload(keys)
    before = len(hop.tokens)
    message = front.send()
    front.daemon.wait_states(message, {ANN: "deferred"})
    reason = recipient(front.daemon, message)["reason"]
    assert "535 5.7.8 Username and token not accepted" in reason
    assert '"status": "400"' in reason and "ya29" not in reason
    assert hop.tokens[before:] == ["ya29.stale"]
    if source == "command":
        assert (tmp_path / "runs").read_text().count("run") == 4
    assert "ya29" not in front.daemon.log()
    hop.close()


def test_no_login_without_tls(make_daemon, authority):
    """A next hop whose TLS was taken away gets neither the credentials nor the mail (S239)."""
    hop = NextHop(extensions=("AUTH PLAIN LOGIN",))
    front = Front(make_daemon, hop.port, authority)
    front.start("password: s3cr3t-here, tls: opportunistic")
    message = front.send()
    front.daemon.wait_states(message, {ANN: "deferred"})
    assert "inside TLS only" in recipient(front.daemon, message)["reason"]
    said = {line["event"] for line in hop.noted()}
    assert "auth" not in said and not hop.lines
    hop.close()


DOVECOT = """\
base_dir = %(folder)s/run
state_dir = %(folder)s/state
log_path = %(folder)s/dovecot.log
auth_verbose = yes
protocols =
ssl = no
auth_mechanisms = plain login cram-md5 scram-sha-256
passdb {
  driver = passwd-file
  args = %(folder)s/users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}
service auth {
  unix_listener %(folder)s/auth {
    mode = 0666
  }
}
"""


@pytest.fixture
def dovecot():
    """The socket of an authentication server that knows staging, and its log."""
    program = shutil.which("dovecot", path=os.environ["PATH"] + ":/usr/sbin")
    if os.getuid() != 0 or not program:
        pytest.skip("Dovecot is not installed, or may not be started by who is not root")
    folder = pathlib.Path("/var/tmp/stagepost-dovecot-%d" % os.getpid())
    folder.mkdir(mode=0o755)
    config = folder / "dovecot.conf"
    config.write_text(DOVECOT % {"folder": folder})
    (folder / "users").write_text("staging:{PLAIN}%s::::::\n" % SECRET)
    subprocess.run([program, "-c", config], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    wait_for((folder / "auth").exists, "Dovecot's socket")
    log = folder / "dovecot.log"
    yield folder / "auth", lambda: log.read_text() if log.exists() else ""
    pid = folder / "run" / "master.pid"
    number = int(pid.read_text())
    subprocess.run([program, "-c", config, "stop"], check=True, timeout=60)
    wait_for(lambda: not pathlib.Path("/proc/%d" % number).exists(), "Dovecot to end")
    shutil.rmtree(folder)


SASL = """\
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = %s
smtpd_sasl_security_options = noanonymous
smtpd_client_restrictions = permit_sasl_authenticated, reject
"""


def test_postfix_with_dovecot(make_daemon, postfix, dovecot):
    """Each mechanism against what most people have; then a password that is wrong."""
    socket, _ = dovecot
    port, log = postfix(SASL % socket)
    relay = make_daemon(start=False)
    base = relay.config.read_text()

    def configure(password, auth):
        relay.config.write_text(
            base + 'routes: [{name: smart, hosts: ["127.0.0.1:%d"], tls: none, username: staging, '
            'password: "%s", auth: %s, auth_without_tls: true}]\n' % (port, password, auth))

    def send():
        with Smtp(relay.smtp_port) as client:
            return client.send("a@shop.test", ["ann@example.com"], MESSAGE)

    configure(SECRET, "plain")
    relay.start()
    relay.allow("example.com")
    for auth in ("plain", "login", "cram-md5", "scram-sha-256", "auto"):
        configure(SECRET, auth)
        before = relay.log().count("the new configuration is in force")
        relay.hup()
        wait_for(lambda: relay.log().count("the new configuration is in force") > before,
                 "the reload")
        relay.wait_states(send(), {"ann@example.com": "delivered"})
        name = "SCRAM-SHA-256" if auth == "auto" else auth.upper()
        wait_for(lambda: "sasl_method=%s, sasl_username=staging" % name in log(), name)
    configure("wrong", "scram-sha-256")
    relay.restart()
    message = send()
    relay.wait_states(message, {"ann@example.com": "deferred"})
    reason = relay.message(message)["recipients"][0]["reason"]
    assert 'login of "staging" refused (SCRAM-SHA-256): 535 5.7.8' in reason
    assert log().count("authentication failed") == 1
