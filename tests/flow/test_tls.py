"""TLS at the listeners, by the daemon as it is run (CASES 2.C)."""

import re
import socket
import ssl
import subprocess
import time

import pytest

from certificates import Authority, fingerprint
from daemon import PATIENCE, STAGEPOST, Listeners, Smtp, queued_id, wait_for
from tlsclient import connect, pair, trusting

MESSAGE = b"Subject: tls\r\n\r\nover TLS\r\n"
RECIPIENTS = ["a@allowed.test", "b@allowed.test", "c@other.test"]


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def send(client, sender="a@sender.test"):
    """The message id; `client` is closed."""
    with client:
        client.ehlo()
        assert client.mail(sender)[0] == 250
        for recipient in RECIPIENTS:
            assert client.rcpt(recipient)[0] == 250
        code, text = client.data(MESSAGE)
        return queued_id((code, text.decode()))


def test_mail_over_starttls_and_implicit_tls(make_daemon, hop):
    """With the certificate that the daemon makes itself; who trusts the file is content."""
    door = Listeners(make_daemon, hop, starttls="tls: starttls", implicit="tls: implicit")
    daemon = door.daemon.start()
    daemon.allow("allowed.test")
    own = daemon.data_dir / "tls.crt"
    assert (daemon.data_dir / "tls.key").stat().st_mode & 0o777 == 0o600
    line = r"certificate file=%s self_signed=true new=%s sha256=%s\n"
    assert re.search(line % (own, "true", fingerprint(own)), daemon.log())
    for name in ("starttls", "implicit"):
        message = send(connect(door.ports[name], trusting(own), name == "implicit"))
        daemon.wait_states(message, {"a@allowed.test": "delivered",
                                     "b@allowed.test": "delivered", "c@other.test": "dropped"})
        client = daemon.message(message)["client"]
        assert re.fullmatch(r"TLSv1\.3 TLS_\w+", client["tls"]), client
        received = hop.messages[-1].content.split(b"\r\n\t")
        assert b" with ESMTPS (" + client["tls"].encode() + b") id " in received[1], received
    daemon.restart()
    assert re.search(line % (own, "false", fingerprint(own)), daemon.log())
    send(connect(door.ports["implicit"], trusting(own), True))


def test_s053_injected_plaintext(make_daemon):
    door = Listeners(make_daemon, starttls="tls: starttls")
    daemon = door.daemon.start()
    with Smtp(door.ports["starttls"]) as client:
        client.write(b"STARTTLS\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<a@x.test>\r\nDATA\r\n"
                     b"x\r\n.\r\n")
        assert client.reply()[0] == 220
        context = ssl.create_default_context(cafile=str(daemon.data_dir / "tls.crt"))
        client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        client.reader = client.socket.makefile("rb")
        assert client.command("RCPT TO:<a@x.test>")[0] == 503
        assert client.command("EHLO inside")[0] == 250
        assert client.command("RCPT TO:<a@x.test>")[0] == 503
    assert daemon.get("/messages")["items"] == []
    assert re.search(r'info discarded .* reason="plaintext behind STARTTLS" bytes=\d+',
                     daemon.log())


def test_s069_reload_and_start_with_bad_certificates(make_daemon, authority):
    """A reload with a bad pair keeps the old one; a start with it is exit 78."""
    good = authority.sign("good", "/CN=good")
    other = authority.sign("other", "/CN=other")
    exposed = authority.sign("exposed", "/CN=exposed")
    door = Listeners(make_daemon, implicit="tls: implicit, " + pair(*good))
    daemon = door.daemon.start()
    port = door.ports["implicit"]

    def shown():
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as raw:
            with trusting(authority.certificate).wrap_socket(
                    raw, server_hostname="localhost") as tls:
                assert tls.recv(4) == b"220 "
                return dict(name[0] for name in tls.getpeercert()["subject"])["commonName"]

    assert shown() == "good"
    bad = [
        (pair(good[0], other[1]), "other.key: the key belongs to another certificate"),
        (pair(good[0], "/nonexistent"), "/nonexistent: can't be read: No such file"),
        (pair("/nonexistent", good[1]), "/nonexistent: can't be read: No such file"),
        (pair(good[1], good[1]), "good.key: no certificate in it"),
        (pair(exposed[0], exposed[1]), "exposed.key: everybody on this machine can read"),
    ]
    exposed[1].chmod(0o644)
    for settings, sentence in bad:
        door.write(implicit="tls: implicit, " + settings)
        before = daemon.log().count("kept the old configuration")
        daemon.hup()
        wait_for(lambda: daemon.log().count("kept the old configuration") > before, "the reload")
        last = daemon.log().splitlines()[-2:]
        assert sentence in last[0] and "listeners.0.tls_certificate" in last[0], last
        assert shown() == "good"
    # In place, as certbot does it.
    door.write(implicit="tls: implicit, " + pair(*good))
    good[0].write_bytes(other[0].read_bytes())
    good[1].write_bytes(other[1].read_bytes())
    daemon.hup()
    wait_for(lambda: shown() == "other", "the new certificate")
    daemon.stop()
    door.write(implicit="tls: implicit, " + bad[1][0])
    daemon.start(wait=False)
    assert daemon.process.wait(PATIENCE) == 78
    assert bad[1][1] in daemon.log().splitlines()[-1]
    daemon.process = None


def test_client_certificates(make_daemon, authority, tmp_path):
    """Recorded with the message, the scope of its mail, and who may send at all."""
    shop = authority.sign("shop", "/O=Example/CN=shop")
    crm = authority.sign("crm", "/O=Example/CN=crm")
    fake = Authority(tmp_path / "fake", "Other CA").sign("shop", "/O=Example/CN=shop")
    keys = 'tls: %s, tls_client: %s, tls_client_ca: "%s", scope: house, tls_client_scopes: [%s]'
    rows = '{client: "CN=shop,O=Example", scope: shop}, {client: "%s", scope: crm}'
    rows %= fingerprint(crm[0])
    door = Listeners(
        make_daemon,
        optional=keys % ("starttls", "optional", authority.certificate, rows),
        required=keys % ("implicit", "required", authority.certificate, rows))
    daemon = door.daemon.start()
    for scope in ("shop", "crm", "house"):
        daemon.post("/whitelist", {"pattern": scope + "@allowed.test", "scope": scope})

    def client(name, shows):
        context = trusting(daemon.data_dir / "tls.crt")
        if shows:
            context.load_cert_chain(*shows)
        return connect(door.ports[name], context, name == "required")

    def allowed(name, shows):
        """Whose scope the mail had."""
        with client(name, shows) as session:
            session.ehlo()
            assert session.mail("a@sender.test")[0] == 250
            for scope in ("shop", "crm", "house"):
                assert session.rcpt(scope + "@allowed.test")[0] == 250
            code, text = session.data(MESSAGE)
        message = daemon.message(queued_id((code, text.decode())))
        ours = [r["address"] for r in message["recipients"] if r["verdict"] == "deliver"]
        return ours, message["client"]

    assert allowed("optional", None)[0] == ["house@allowed.test"]
    assert allowed("optional", fake)[0] == ["house@allowed.test"]
    assert allowed("optional", shop)[0] == ["shop@allowed.test"]
    ours, told = allowed("required", crm)
    assert ours == ["crm@allowed.test"]
    shown = subprocess.run(
        [STAGEPOST, "--data-dir", daemon.data_dir, "queue", "show",
         daemon.get("/messages?limit=1")["items"][0]["id"]], capture_output=True, check=True).stdout
    assert b"CN=crm,O=Example SHA256:" + fingerprint(crm[0]).encode() in shown, shown
    assert told["tls"].encode() in shown
    assert told["certificate"] == {"subject": "CN=crm,O=Example", "sha256": fingerprint(crm[0])}
    assert allowed("optional", fake)[1]["certificate"] is None
    for shows in (None, fake):
        with client("required", shows) as session:
            session.ehlo()
            code, text = session.mail("a@sender.test")
            assert (code, text[:5]) == (530, b"5.7.0"), text


def test_s067_handshakes_do_not_hold_others_up(make_daemon):
    """Silent and half handshakes beside an honest client."""
    door = Listeners(make_daemon, starttls="tls: starttls", implicit="tls: implicit")
    daemon = door.daemon.start()
    silent = []
    for _ in range(90):
        raw = socket.create_connection(("127.0.0.1", door.ports["implicit"]), PATIENCE)
        raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[:1 + len(silent) % 11])
        silent.append(raw)
    begin = time.monotonic()
    send(connect(door.ports["starttls"], trusting(daemon.data_dir / "tls.crt"), False))
    assert time.monotonic() - begin < PATIENCE / 30
    for raw in silent:
        raw.close()


def test_a_listener_that_starts_to_offer_tls(make_daemon):
    """SIGHUP from none to starttls: the certificate is made then, sessions go on."""
    door = Listeners(make_daemon, only="tls: none")
    daemon = door.daemon.start()
    with Smtp(door.ports["only"]) as client:
        assert "STARTTLS" not in client.command("EHLO x")[1]
        assert not (daemon.data_dir / "tls.crt").exists()
        door.write(only="tls: starttls")
        daemon.hup()
        wait_for(lambda: "STARTTLS" in client.command("EHLO x")[1], "STARTTLS")
    send(connect(door.ports["only"], trusting(daemon.data_dir / "tls.crt"), False))
