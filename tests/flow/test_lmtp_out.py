"""Delivery by LMTP to what really speaks it: our own listener, and Dovecot."""

import grp
import os
import pathlib
import pwd
import shutil
import smtplib
import subprocess
import tempfile

import pytest

from daemon import Smtp, free_port, wait_for

MESSAGE = b"Subject: to a mailbox\r\n\r\n.hello\r\n"


def route(path):
    return ('routes: [{name: mailboxes, hosts: ["unix:%s"], tls: none, protocol: lmtp}]\n'
            % path)


def recipient(daemon, message, address):
    return next(r for r in daemon.message(message)["recipients"] if r["address"] == address)


def test_to_our_own_listener(make_daemon, hop, tmp_path):
    """A second daemon's LMTP listener: a yes for one, a no for the other, in one transaction."""
    path = tmp_path / "lmtp"
    second = make_daemon(hop.address, "policy: {default: reject}\n", start=False)
    second.config.write_text(second.config.read_text().replace(
        "listeners: [", 'listeners: [{address: "unix:%s", protocol: lmtp}, ' % path))
    second.start()
    second.allow("ann@example.com")
    first = make_daemon(settings=route(path))
    first.allow("example.com")
    with Smtp(first.smtp_port) as client:
        message = client.send("app@example.com", ["bob@example.com", "ann@example.com"], MESSAGE)
    first.wait_states(message, {"ann@example.com": "delivered", "bob@example.com": "failed"})
    assert recipient(first, message, "ann@example.com")["last_reply"]["code"] == 250
    assert recipient(first, message, "ann@example.com")["history"][-1]["remote"] == "unix:%s" % path
    wait_for(lambda: hop.copies_for("ann@example.com"), "the message at the end of the line")
    assert hop.snapshot()[0].content.endswith(MESSAGE)
    assert b" with LMTP id " in hop.snapshot()[0].content


def test_our_own_listener_is_refused_by_its_path(make_daemon, tmp_path):
    """Also through a link: the socket is one and the same."""
    path = tmp_path / "lmtp"
    os.symlink(path, tmp_path / "link")
    relay = make_daemon(settings=route(tmp_path / "link"), start=False)
    relay.config.write_text(relay.config.read_text().replace(
        "listeners: [", 'listeners: [{address: "unix:%s", protocol: lmtp}, ' % path))
    relay.start()
    relay.allow("example.com")
    with Smtp(relay.smtp_port) as client:
        message = client.send("app@example.com", ["ann@example.com"], MESSAGE)
    wait_for(lambda: "mail would loop" in (
        recipient(relay, message, "ann@example.com")["reason"] or ""), "the reason")


DOVECOT = """\
base_dir = %(folder)s/run
state_dir = %(folder)s/state
log_path = %(folder)s/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
default_internal_user = %(user)s
default_internal_group = %(group)s
default_login_user = %(user)s
first_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:%(folder)s/mail/%%u
mail_plugins = quota
service anvil {
  chroot =
}
login_trusted_networks = 127.0.0.0/8
haproxy_trusted_networks = 127.0.0.0/8
service lmtp {
  unix_listener %(folder)s/lmtp {
    mode = 0600
  }
  inet_listener told {
    address = 127.0.0.1
    port = %(port)d
  }
  inet_listener proxied {
    address = 127.0.0.1
    port = %(proxied)d
    haproxy = yes
  }
}
passdb {
  driver = static
}
userdb {
  driver = passwd-file
  args = %(folder)s/users
}
plugin {
  quota = maildir:User quota
}
protocol lmtp {
  postmaster_address = postmaster@example.com
}
"""


@pytest.fixture
def dovecot():
    """Its folder and ports. Mailboxes: ann; carl, who has no room."""
    program = shutil.which("dovecot", path=os.environ["PATH"] + ":/usr/sbin")
    if not program or not pathlib.Path("/usr/lib/dovecot/lmtp").exists():
        pytest.skip("dovecot with LMTP is not installed")
    # Not below pytest's own folder, into which only we can look: Dovecot serves nobody as root.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="stagepost-dovecot-"))
    folder.chmod(0o755)
    owner = pwd.getpwuid(os.getuid())
    reader = owner if owner.pw_uid else pwd.getpwnam("nobody")
    for name in ("run", "mail"):
        (folder / name).mkdir()
    os.chown(folder / "mail", reader.pw_uid, reader.pw_gid)
    ids = "%d:%d" % (reader.pw_uid, reader.pw_gid)
    (folder / "users").write_text(
        "ann@example.com:x:%s::%s/mail/ann::\n"
        "carl@example.com:x:%s::%s/mail/carl::userdb_quota_rule=*:bytes=10\n"
        % (ids, folder, ids, folder))
    ports = {"port": free_port(), "proxied": free_port()}
    (folder / "dovecot.conf").write_text(DOVECOT % {
        **ports, "folder": folder, "user": owner.pw_name, "group": grp.getgrgid(owner.pw_gid).gr_name})
    with open(folder / "said", "wb") as said:
        server = subprocess.Popen([program, "-F", "-c", folder / "dovecot.conf"],
                                  stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        wait_for(lambda: (folder / "lmtp").exists() or server.poll() is not None, "dovecot", 20)
        if server.poll() is not None:
            pytest.skip("dovecot does not run here: %s" % (folder / "said").read_text()[-300:])
        yield folder, ports
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder)


def test_to_dovecot(make_daemon, dovecot):
    """Mailbox, no mailbox, and no room in it, in one transaction: a 250, a 550 and a 552."""
    folder, _ = dovecot
    relay = make_daemon(settings=route(folder / "lmtp"))
    relay.allow("example.com")
    everybody = ["carl@example.com", "bob@example.com", "ann@example.com"]
    with Smtp(relay.smtp_port) as client:
        message = client.send("app@example.com", everybody, MESSAGE)
    relay.wait_states(message, {"ann@example.com": "delivered", "bob@example.com": "failed",
                                "carl@example.com": "failed"})
    assert recipient(relay, message, "bob@example.com")["reason"].startswith("RCPT TO: 550 5.1.1")
    assert recipient(relay, message, "carl@example.com")["reason"].startswith(
        "after the message: 552 5.2.2")
    kept = list((folder / "mail").glob("ann@example.com/new/*"))
    assert len(kept) == 1
    assert kept[0].read_bytes().replace(b"\r\n", b"\n").endswith(MESSAGE.replace(b"\r\n", b"\n"))


@pytest.mark.parametrize("port, keys", (
    ("port", "xclient: true"), ("proxied", "proxy_protocol: v1"), ("proxied", "proxy_protocol: v2")))
def test_dovecot_is_told_of_the_client(make_daemon, dovecot, port, keys):
    """Its own Received names who handed the message in to us."""
    folder, ports = dovecot
    relay = make_daemon(settings=(
        'routes: [{name: mailboxes, hosts: ["127.0.0.1:%d"], tls: none, protocol: lmtp, %s}]\n'
        % (ports[port], keys)))
    relay.allow("example.com")
    with smtplib.SMTP("127.0.0.1", relay.smtp_port, local_hostname="app.test",
                      source_address=("127.0.0.5", 0)) as client:
        client.sendmail("app@example.com", ["ann@example.com"], MESSAGE)
    kept = wait_for(lambda: list((folder / "mail").glob("ann@example.com/new/*")), "the message")
    content = kept[0].read_bytes()
    first = content[content.index(b"Received: "):].split(b"by ")[0]
    assert b"([127.0.0.5])" in first, content[:600]
