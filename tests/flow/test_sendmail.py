"""
stagepost sendmail, as programs on this machine call it: what the relay gets, and how it ends. The
envelope is looked at in the relay, the message byte for byte.
"""

import email
import email.policy
import os
import re
import socket
import subprocess
import threading

import pytest
from certificates import Authority
from clients import Missing, need
from daemon import PATIENCE, STAGEPOST, Daemon, free_port

ALICE = "alice@example.com"
BOB = "bob@example.com"
EX_OK, EX_USAGE, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE = 0, 64, 65, 67, 69
EX_TEMPFAIL, EX_PROTOCOL, EX_NOPERM, EX_CONFIG = 75, 76, 77, 78


def machine_domain():
    """As the tool finds it."""
    try:
        with open("/etc/mailname", encoding="ascii") as stream:
            return stream.readline().strip()
    except OSError:
        return socket.gethostname()


class Sender:
    def __init__(self, relay):
        self.relay = relay
        self.address = relay.smtp_address

    def env(self, **more):
        return dict(os.environ, STAGEPOST_SMTP=self.address, **more)

    def __call__(self, *arguments, text=b"Subject: hello\n\nbody\n", want=EX_OK, program=None):
        command = [program] if program else [STAGEPOST, "sendmail"]
        done = subprocess.run([*command, *arguments], input=text, capture_output=True,
                              timeout=PATIENCE, env=self.env(), check=False)
        assert b"Sanitizer" not in done.stderr, done.stderr.decode("utf-8", "replace")
        assert done.returncode == want, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def count(self):
        return len(self.relay.get("/messages")["items"])

    def last(self):
        """The newest message: its envelope, its bytes."""
        items = self.relay.get("/messages?include=recipients&limit=1")["items"]
        assert items
        raw = self.relay.request("GET", "/api/v1/messages/%s/raw" % items[0]["id"]).body
        return items[0], raw

    def envelope(self):
        message, _ = self.last()
        return message["sender"], sorted(r["address"] for r in message["recipients"])

    def header(self):
        return email.message_from_bytes(self.last()[1], policy=email.policy.default)


@pytest.fixture
def sendmail(relay):
    return Sender(relay)


# --- what is sent -----------------------------------------------------------------------


def test_recipients_on_the_command_line(sendmail):
    text = b"From: Shop <shop@example.com>\nTo: someone@else.example\nBcc: %s\n\nbody\n" % (
        BOB.encode())
    sendmail("-f", "shop@example.com", ALICE, text=text)
    assert sendmail.envelope() == ("shop@example.com", [ALICE])
    # Without -t the header is no business of ours: what leaves has no Bcc in any case.
    assert b"\r\nBcc: bob@example.com\r\n" in sendmail.last()[1]


def test_recipients_of_the_header(sendmail):
    """PEERS T14: with -t the header is read, also beside arguments, and Bcc goes."""
    text = (b"From: shop@example.com\nTo: Alice <%s>,\n\t\"B, b\" <%s>\nCC: (a comment) c@example.com\n"
            b"bcc: d@example.com,\n eve@example.com\nSubject: x\n\nTo: f@example.com\n" % (
                ALICE.encode(), BOB.encode()))
    want = sorted([ALICE, BOB, "c@example.com", "d@example.com", "eve@example.com"])
    sendmail("-t", "-i", text=text)
    assert sendmail.envelope()[1] == want
    raw = sendmail.last()[1]
    assert b"bcc" not in raw.lower() and b"eve@" not in raw
    assert raw.endswith(b"Subject: x\r\n\r\nTo: f@example.com\r\n")
    sendmail("-ti", "g@example.com", text=text)
    assert sendmail.envelope()[1] == sorted([*want, "g@example.com"])


def test_resent_fields_count_instead(sendmail):
    text = (b"From: shop@example.com\nTo: old@example.com\nResent-To: %s\nResent-Bcc: %s\n"
            b"Resent-From: me@example.com\n\nbody\n" % (ALICE.encode(), BOB.encode()))
    sendmail("-t", text=text)
    assert sendmail.envelope()[1] == [ALICE, BOB]
    assert b"Resent-Bcc" not in sendmail.last()[1]


def test_what_is_missing_is_added(sendmail):
    sendmail("-f", "shop@example.com", "-F", "Der Ladenhüter", ALICE,
             text=b"Subject: hello\n\nbody\n")
    header = sendmail.header()
    assert header["From"].addresses[0].addr_spec == "shop@example.com"
    assert header["From"].addresses[0].display_name == "Der Ladenhüter"
    assert header["Date"].datetime is not None
    assert re.fullmatch(r"<[0-9A-Z]{26}@[^@>]+>", header["Message-ID"])
    assert b"\xfc" not in sendmail.last()[1] and b"\xc3" not in sendmail.last()[1]
    text = (b"From: a@b.example\nDate: Sat, 21 Nov 2026 10:20:30 +0000\nMessage-ID: <1@b.example>\n"
            b"Subject: hello\n\nbody\n")
    sendmail(ALICE, text=text)
    assert sendmail.last()[1] == text.replace(b"\n", b"\r\n")


@pytest.mark.parametrize("text", [b"", b"no header here\nat all\n", b" folded\n\nx\n",
                                  b"Subject: x\nbody without an empty line\n"])
def test_header_and_body_are_told_apart(sendmail, text):
    sendmail("-f", "shop@example.com", ALICE, text=text)
    raw = sendmail.last()[1]
    front, _, body = raw.partition(b"\r\n\r\n")
    assert b"\r\nMessage-ID: <" in front
    want = text.replace(b"\n", b"\r\n")
    if text.startswith(b"Subject"):
        assert front.endswith(b"\r\nSubject: x")
        want = want.partition(b"\r\n")[2]
    assert body == want


def test_an_mbox_line_is_dropped(sendmail):
    sendmail(ALICE, text=b"From shop Sat Nov 21 10:20:30 2026\nSubject: x\n\nFrom here\n")
    raw = sendmail.last()[1]
    assert raw.startswith(b"From: ") and raw.endswith(b"Subject: x\r\n\r\nFrom here\r\n")


def test_a_lone_dot(sendmail):
    text = b"Subject: x\n\nfirst\n.\nsecond\n..\n.third\n"
    sendmail(ALICE, text=text)
    assert sendmail.last()[1].endswith(b"\r\n\r\nfirst\r\n")
    for option in ("-i", "-oi"):
        sendmail(option, ALICE, text=text)
        assert sendmail.last()[1].endswith(b"\r\n\r\nfirst\r\n.\r\nsecond\r\n..\r\n.third\r\n")


def test_line_ends_and_long_lines(sendmail):
    body = b"x" * 100000 + b"\r\nlast line without an end"
    sendmail("-i", ALICE, text=b"Subject: x\r\nX-A: b\r\n\r\n" + body)
    assert sendmail.last()[1].endswith(b"Subject: x\r\nX-A: b\r\n\r\n" + body + b"\r\n")


def test_eight_bits(sendmail):
    sendmail(ALICE, text="Subject: Grüße\n\nGrüße\n".encode())
    message, raw = sendmail.last()
    assert sendmail.relay.message(message["id"])["body_8bit"]
    assert raw.endswith("Subject: Grüße\r\n\r\nGrüße\r\n".encode())


def test_unqualified_names_are_of_this_machine(sendmail):
    """Cron sends to "root", and cronie with -t and "To: root"."""
    domain = machine_domain()
    sendmail("-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root")
    assert sendmail.envelope()[1] == ["root@" + domain]
    sendmail("-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root",
             text=b"From: \"(Cron Daemon)\" <root>\nTo: root\nSubject: Cron <x@y> true\n\nout\n")
    assert sendmail.envelope() == ("root@" + domain, ["root@" + domain])


@pytest.mark.parametrize("sender,want", [("", ""), ("<>", ""), ("<a@b.example>", "a@b.example"),
                                         ("A B <a@b.example>", "a@b.example")])
def test_the_sender(sendmail, sender, want):
    for option in ("-f", "-r"):
        sendmail(option, sender, ALICE)
        assert sendmail.envelope()[0] == want
    sendmail("-f" + sender if sender else "-f<>", ALICE)
    assert sendmail.envelope()[0] == want


def test_reports_are_asked_for(sendmail, hop):
    sendmail.relay.allow("*@example.com")
    sendmail("-N", "never", "-R", "hdrs", "-V", "id 1+2", "-f", "shop@example.com", ALICE)
    message = sendmail.relay.message(sendmail.last()[0]["id"])
    assert (message["ret"], message["envid"]) == ("HDRS", "id+201+2B2")
    assert message["recipients"][0]["notify"] == "NEVER"
    sendmail("-N", "delay,failure", ALICE)
    message = sendmail.relay.message(sendmail.last()[0]["id"])
    assert message["recipients"][0]["notify"] == "FAILURE,DELAY"
    for wrong in (("-N", "never,success"), ("-R", "some"), ("-V", "")):
        sendmail(*wrong, ALICE, want=EX_USAGE)


def test_flags_of_other_programs(sendmail):
    """mutt, s-nail, mailx, PHP, sendmail and Postfix: what means nothing here changes nothing."""
    for flags in (["-oem", "-oi", "-f", "shop@example.com", "--"],
                  ["-oi", "-oem", "-odb", "-om", "-O", "DeliveryMode=b", "-Am", "-L", "x"],
                  ["-bm", "-n", "-m", "-G", "-U", "-h", "3", "-p", "smtp", "-X", "/nowhere"],
                  ["-c", "-x", "-d0", "-eq", "-B", "7BIT", "-i"]):
        before = sendmail.count()
        sendmail(*flags, ALICE)
        assert sendmail.count() == before + 1, flags


# --- how it ends ---------------------------------------------------------------------------


def test_wrong_usage(sendmail):
    sendmail(want=EX_USAGE)
    sendmail("-t", want=EX_USAGE)
    sendmail("-bd", want=EX_USAGE)
    sendmail("-Z", ALICE, want=EX_USAGE)
    sendmail(ALICE, "-f", "behind@example.com", want=EX_USAGE)
    sendmail("not an address", want=EX_USAGE)
    sendmail("-f", "a@b.example, c@d.example", ALICE, want=EX_DATAERR)
    sendmail("-t", text=b"To: good@example.com, broken <x@>\n\nbody\n", want=EX_DATAERR)
    sendmail("-C", "/nonexistent", ALICE, want=EX_CONFIG)
    assert sendmail.count() == 0
    assert b"-t" in sendmail("--help").stdout


def test_the_relay_is_not_there(sendmail):
    sendmail.address = "127.0.0.1:%d" % free_port()
    assert b"can't be reached" in sendmail(ALICE, want=EX_TEMPFAIL).stderr
    assert sendmail("-bs", text=b"EHLO x\r\n", want=EX_TEMPFAIL).stdout.startswith(b"421 ")
    sendmail.address = "no port"
    sendmail(ALICE, want=EX_CONFIG)


def test_refused_recipients_refuse_the_message(make_daemon, hop):
    """Nobody gets it: who tries again would send it twice."""
    sendmail = Sender(make_daemon(hop.address, "policy: {default: reject}\n"))
    sendmail.relay.allow(ALICE)
    error = sendmail(ALICE, BOB, want=EX_NOUSER).stderr
    assert b"bob@example.com" in error and b"whitelist" in error
    assert sendmail.count() == 0
    sendmail(ALICE)
    assert sendmail.count() == 1


@pytest.mark.parametrize("stage,code,want", [
    ("mail", 451, EX_TEMPFAIL), ("mail", 550, EX_UNAVAILABLE), ("rcpt", 450, EX_TEMPFAIL),
    ("rcpt", 550, EX_NOUSER), ("data", 451, EX_TEMPFAIL), ("end", 452, EX_TEMPFAIL),
    ("end", 554, EX_UNAVAILABLE)])
def test_refusals(sendmail, stage, code, want):
    sendmail.relay.post("/faults", {"name": "no", "action": "reject", "stage": stage,
                                    "code": code})
    assert b"%d" % code in sendmail(ALICE, want=want).stderr
    assert sendmail.count() == 0


def test_too_large(make_daemon, hop):
    sendmail = Sender(make_daemon(hop.address, "smtp: {max_message_size: 10000}\n"))
    sendmail(ALICE, text=b"Subject: x\n\n" + b"x\n" * 20000, want=EX_UNAVAILABLE)
    assert sendmail.count() == 0


def test_a_listener_with_a_login(make_daemon, hop, tmp_path):
    users = tmp_path / "users"
    users.touch(mode=0o600)
    users.write_text("app:{PLAIN}secret\n")
    relay = make_daemon(hop.address, "users: {file: %s}\n" % users, start=False)
    text = relay.config.read_text().replace(
        '"}]\nadmin', '", auth: required, auth_without_tls: true}]\nadmin')
    relay.config.write_text(text)
    sendmail = Sender(relay.start())
    sendmail(ALICE, want=EX_NOPERM)


def test_no_smtp_there(sendmail):
    with socket.create_server(("127.0.0.1", 0)) as server:
        sendmail.address = "127.0.0.1:%d" % server.getsockname()[1]
        process = subprocess.Popen([STAGEPOST, "sendmail", ALICE], stdin=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=sendmail.env())
        process.stdin.write(b"\n")
        process.stdin.close()
        connection, _ = server.accept()
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert process.wait(PATIENCE) == EX_PROTOCOL
        connection.close()
        process.stderr.close()


# --- other names, other ways ------------------------------------------------------------------


def test_as_a_link(sendmail, tmp_path):
    for name in ("sendmail", "mailq", "newaliases"):
        (tmp_path / name).symlink_to(STAGEPOST)
    sendmail("-i", ALICE, program=tmp_path / "sendmail")
    assert sendmail.envelope()[1] == [ALICE]
    assert sendmail(program=tmp_path / "newaliases").stdout == b""
    env = dict(os.environ, STAGEPOST_DATA_DIR=str(sendmail.relay.data_dir))
    for command in ([tmp_path / "mailq"], [tmp_path / "sendmail", "-bp"]):
        done = subprocess.run(command, capture_output=True, env=env, timeout=PATIENCE, check=False)
        assert done.returncode == 0 and ALICE.encode() in done.stdout, done
    assert sendmail("-bi").stdout == b"" and sendmail("-q30m").stdout == b""


def test_smtp_on_standard_input(sendmail):
    done = sendmail("-bs", text=b"EHLO client.test\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<%s>\r\n"
                                b"DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n" % ALICE.encode())
    codes = re.findall(rb"(?m)^(\d\d\d) ", done.stdout)
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"], done.stdout
    assert sendmail.envelope() == ("a@b.example", [ALICE])


def test_the_dialogue_is_shown(sendmail):
    shown = sendmail("-v", ALICE).stdout
    assert b">>> RCPT TO:<alice@example.com>" in shown and b"354 " in shown


def test_the_relay_of_the_configuration(relay, tmp_path):
    """Without $STAGEPOST_SMTP: the first listener that takes mail in clear and without a login."""
    sendmail = Sender(relay)
    config = tmp_path / "c.yaml"
    config.write_text('listeners:\n  - {address: "127.0.0.1:1", tls: implicit}\n'
                      '  - {address: "127.0.0.1:1", auth: required}\n'
                      '  - {address: "127.0.0.1:1", protocol: lmtp}\n'
                      '  - {address: "${NOWHERE}"}\n'
                      '  - {address: "0.0.0.0:%d", tls: starttls}\n' % relay.smtp_port)
    sendmail.address = "127.0.0.1:1"
    sendmail("-C", str(config), ALICE)
    assert sendmail.envelope()[1] == [ALICE]


def test_by_a_unix_socket(make_daemon, hop):
    relay = make_daemon(hop.address, start=False)
    path = relay.folder / "smtp.sock"
    relay.config.write_text(relay.config.read_text().replace(
        'listeners: [{address: "127.0.0.1:%d"}]' % relay.smtp_port,
        'listeners: [{address: "unix:%s"}]' % path))
    sendmail = Sender(relay.start())
    sendmail.address = "unix:%s" % path
    sendmail(ALICE)
    assert sendmail.last()[0]["client"]["address"] == "unix"


# --- programs that call it ------------------------------------------------------------------------


@pytest.fixture
def link(tmp_path):
    path = tmp_path / "sendmail"
    path.symlink_to(STAGEPOST)
    return path


def needed(program, package):
    try:
        return need(program, package)
    except Missing as missing:
        pytest.skip(str(missing))


def test_php_mail(sendmail, link):
    php = needed("php", "php-cli")
    code = ('$ok = mail("Alice <%s>, %s", "Grüße", "first\\n.\\nlast", '
            '"From: shop@example.com\\r\\nBcc: hidden@example.com\\r\\nX-A: b", "-fbounce@example.com");'
            "exit($ok ? 0 : 1);" % (ALICE, BOB))
    done = subprocess.run([php, "-n", "-d", "sendmail_path=%s -t -i" % link, "-r", code],
                          capture_output=True, env=sendmail.env(), timeout=PATIENCE, check=False)
    assert done.returncode == 0, done
    assert sendmail.envelope() == ("bounce@example.com", sorted([ALICE, BOB, "hidden@example.com"]))
    raw = sendmail.last()[1]
    assert b"hidden" not in raw and b"\r\nX-A: b\r\n" in raw
    assert raw.endswith(b"\r\n\r\nfirst\r\n.\r\nlast\r\n")


def test_s_nail(sendmail, link):
    program = needed("s-nail", "s-nail")
    done = subprocess.run(
        [program, "-:/", "-Sv15-compat", "-Snosave", "-Smta=%s" % link, "-Sttycharset=utf-8",
         "-Ssendcharsets=utf-8", "-r", "shop@example.com", "-s", "Grüße", "-c", BOB,
         "-b", "hidden@example.com", ALICE], input="Hällo\n.dot\n".encode(),
        capture_output=True, env=sendmail.env(HOME=str(link.parent), LC_ALL="C.UTF-8"),
        timeout=PATIENCE, check=False)
    assert done.returncode == 0, done
    assert sendmail.envelope() == ("shop@example.com", sorted([ALICE, BOB, "hidden@example.com"]))
    assert sendmail.header()["Subject"] == "Grüße"
    assert b"hidden" not in sendmail.last()[1]


def test_git_send_email(sendmail, link, tmp_path):
    git = needed("git", "git")
    paths = subprocess.run([git, "--exec-path"], capture_output=True, check=True).stdout.decode()
    if not os.path.exists(os.path.join(paths.strip(), "git-send-email")):
        pytest.skip("git send-email is not installed (apt-get install git-email)")
    patch = tmp_path / "0001.patch"
    patch.write_text("From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n"
                     "From: Dev <dev@example.com>\nDate: Sat, 21 Nov 2026 10:20:30 +0000\n"
                     "Subject: [PATCH] x: y\n\nWhy.\n---\n a | 1 +\n.\n-- \n2.0\n")
    env = sendmail.env(HOME=str(tmp_path), GIT_CONFIG_NOSYSTEM="1", GIT_COMMITTER_NAME="Dev",
                       GIT_COMMITTER_EMAIL="dev@example.com", GIT_AUTHOR_NAME="Dev",
                       GIT_AUTHOR_EMAIL="dev@example.com",
                       GIT_CONFIG_GLOBAL=str(tmp_path / "none"))
    done = subprocess.run(
        [git, "send-email", "--smtp-server=%s" % link, "--from=dev@example.com", "--to=" + ALICE,
         "--cc=" + BOB, "--bcc=hidden@example.com", "--suppress-cc=all", "--confirm=never",
         "--quiet", "--envelope-sender=bounce@example.com", str(patch)],
        capture_output=True, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, timeout=PATIENCE,
        check=False)
    assert done.returncode == 0, done
    sender, recipients = sendmail.envelope()
    assert sender == "bounce@example.com"
    assert recipients == sorted([ALICE, "hidden@example.com", BOB])
    raw = sendmail.last()[1]
    assert b"\r\nSubject: [PATCH] x: y\r\n" in raw and b"\r\n.\r\n-- \r\n2.0\r\n" in raw
    assert b"hidden" not in raw


# --- a relay elsewhere: TLS and a login ---------------------------------------------------


@pytest.fixture(scope="module")
def away(tmp_path_factory):
    """A relay that wants TLS and a login: (the daemon, its ports in the clear and by TLS, keys)."""
    folder = tmp_path_factory.mktemp("away")
    authority = Authority(folder / "ca")
    certificate, key = authority.sign("relay", "/CN=relay", names="DNS:localhost")
    users = folder / "users"
    subprocess.run([STAGEPOST, "user", "add", "app", "--file", users], input=b"secret", check=True,
                   stderr=subprocess.DEVNULL)
    (folder / "daemon").mkdir()
    daemon = Daemon(folder / "daemon", settings='users: {file: "%s"}\n' % users)
    daemon.starttls, daemon.implicit = free_port(), free_port()
    daemon.authority = authority.certificate
    daemon.password = folder / "password"
    daemon.password.write_text("secret\nnot this\n")
    daemon.wrong = folder / "wrong"
    daemon.wrong.write_text("guess\n")
    keys = 'auth: required, tls_certificate: "%s", tls_key: "%s"' % (certificate, key)
    text = daemon.config.read_text().replace("listeners: [", (
        'listeners: [{address: "127.0.0.1:%d", tls: starttls, %s}, '
        '{address: "127.0.0.1:%d", tls: implicit, %s}, '
        % (daemon.starttls, keys, daemon.implicit, keys)))
    daemon.config.write_text(text)
    daemon.start()
    yield daemon
    daemon.close()


def go(away, want=EX_OK, port=None, host="localhost", arguments=(), **settings):
    """`stagepost sendmail` with what it needs, but for `settings`: None leaves one out."""
    known = {"STAGEPOST_SMTP": "%s:%d" % (host, port or away.starttls), "tls": "starttls",
             "ca": away.authority, "user": "app", "password_file": away.password, **settings}
    env = dict(os.environ, **{
        name if name.isupper() else "STAGEPOST_SMTP_" + name.upper(): str(value)
        for name, value in known.items() if value is not None})
    done = subprocess.run([STAGEPOST, "sendmail", *arguments, "-f", "shop@example.com", ALICE],
                          input=b"Subject: x\n\n" + b".\n" * 30000, capture_output=True,
                          timeout=PATIENCE, env=env, check=False)
    assert b"Sanitizer" not in done.stderr, done.stderr.decode("utf-8", "replace")
    assert done.returncode == want, (done.returncode, done.stdout, done.stderr)
    return done


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_tls_and_a_login(away, tls):
    before = len(away.get("/messages")["items"])
    shown = go(away, tls=tls, port=getattr(away, tls), arguments=["-i", "-v"]).stdout
    assert b"AUTH PLAIN ...\n" in shown and b"c2VjcmV0" not in shown and b"235" in shown
    items = away.get("/messages")["items"]
    assert len(items) == before + 1
    client = away.message(items[0]["id"])["client"]
    assert client["user"] == "app" and client["tls"].startswith("TLSv1.3")
    raw = away.request("GET", "/api/v1/messages/%s/raw" % items[0]["id"]).body
    assert raw.endswith(b"\r\n\r\n" + b".\r\n" * 30000)


def test_tls_with_somebody_else(away, tmp_path):
    """Nobody is told the password, and the message is tried again later."""
    before = len(away.get("/messages")["items"])
    for how in ({"ca": None}, {"ca": Authority(tmp_path / "other").certificate},
                {"host": "127.0.0.1"}, {"host": "localhost.", "tls": "implicit"},
                {"tls": "implicit"}, {"ca": away.password}, {"ca": tmp_path / "none"},
                {"port": away.smtp_port}):
        done = go(away, EX_TEMPFAIL, **how)
        assert done.stderr, how
    assert b"is not to be trusted" in go(away, EX_TEMPFAIL, ca=None).stderr
    assert b"offers no STARTTLS" in go(away, EX_TEMPFAIL, port=away.smtp_port).stderr
    assert len(away.get("/messages")["items"]) == before


def test_logins_that_fail(away):
    assert b"535" in go(away, EX_NOPERM, password_file=away.wrong).stderr
    assert b"no login by PLAIN" in go(away, EX_NOPERM, tls="none").stderr
    go(away, EX_NOPERM, user=None, password_file=None)


def test_access_that_makes_no_sense(away, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("\nsecret\n")
    for how in ({"tls": "yes"}, {"user": None}, {"password_file": None}, {"user": "a\nb"},
                {"password_file": tmp_path / "none"}, {"password_file": empty},
                {"arguments": ["-bs"]}):
        assert go(away, EX_CONFIG, **how).stderr, how


def test_words_behind_the_answer_to_starttls(away):
    """RFC 3207: whoever can put words into the clear must not have them taken for the relay's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = []

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 here\r\n")
                said.append(connection.recv(1000))
                connection.sendall(b"250-here\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
                said.append(connection.recv(1000))
                connection.sendall(b"220 go on\r\n250-here\r\n250 AUTH PLAIN\r\n")
                said.append(connection.recv(1000))

        thread = threading.Thread(target=serve)
        thread.start()
        go(away, EX_PROTOCOL, port=server.getsockname()[1])
        thread.join(PATIENCE)
    assert said[1] == b"STARTTLS\r\n" and b"AUTH" not in b"".join(said)
