"""Features of the front door in each other's way: who a client is, and what it may hold."""

import base64
import socket

import pytest

from certificates import Authority
from daemon import PATIENCE, Listeners, Smtp, wait_for
from tlsclient import pair, trusting

MESSAGE = b"Subject: attack\r\n\r\nhello\r\n"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def secure(client, context):
    """STARTTLS and a new EHLO."""
    assert client.command("STARTTLS")[0] == 220
    client.reader.close()
    client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
    client.reader = client.socket.makefile("rb")
    assert client.command("EHLO client.test")[0] == 250
    return client


def send_one(daemon, client):
    """The message, as the API shows it."""
    return daemon.message(client.send("a@sender.test", ["a@shop.test"], MESSAGE))


def test_xclient_does_not_lend_the_proxys_certificate(make_daemon, authority):
    """Whose certificate opened the way is not who speaks behind it: no scope, no EXTERNAL."""
    door = Listeners(make_daemon, door=(
        "tls: starttls, %s, tls_client: required, tls_client_ca: \"%s\", auth: optional, "
        "tls_client_scopes: [{client: \"CN=proxy\", scope: inner}], scope: outer, "
        "xclient: true, trusted: [127.0.0.1], networks: [127.0.0.1, 192.0.2.0/24]"
        % (pair(*authority.sign("server", "/CN=server")), authority.certificate)))
    daemon = door.daemon
    users = daemon.folder / "users"
    users.touch(0o600)
    daemon.config.write_text(daemon.config.read_text() + 'users: {file: "%s"}\n' % users)
    daemon.start()
    daemon.post("/whitelist", {"pattern": "shop.test", "scope": "inner"})
    context = trusting(authority.certificate)
    context.load_cert_chain(*authority.sign("proxy", "/CN=proxy"))
    with secure(Smtp(door.ports["door"]), context) as client:
        own = send_one(daemon, client)
        assert (own["scope"], own["client"]["certificate"]["subject"]) == ("inner", "CN=proxy")
        assert own["recipients"][0]["verdict"] == "deliver"
        assert client.command("XCLIENT ADDR=192.0.2.9")[0] == 220
        text = client.command("EHLO behind.test")[1]
        assert "AUTH" not in text and "EXTERNAL" not in text
        assert client.command("AUTH EXTERNAL =")[0] == 504
        other = send_one(daemon, client)  # tls_client: required is fulfilled by the proxy
        assert (other["scope"], other["client"]["certificate"]) == ("outer", None)
        assert other["recipients"][0]["verdict"] == "drop"


def log_in(port, name):
    client = Smtp(port)
    plain = base64.b64encode(b"\0%s\0secret" % name).decode()
    assert client.command("AUTH PLAIN " + plain)[0] == 235
    return client


def reload(daemon):
    seen = daemon.log().count("the new configuration is in force")
    daemon.hup()
    wait_for(lambda: daemon.log().count("the new configuration is in force") > seen, "the reload")


def test_a_reload_takes_logins_back(make_daemon):
    """Who was removed, and who was never checked, sends nothing more on an open connection."""
    keys = "auth: %s, auth_without_tls: true, scope: outer"
    door = Listeners(make_daemon, users=keys % "required", any=keys % "any")
    daemon = door.daemon
    users = daemon.folder / "users"
    users.touch(0o600)
    users.write_text("stays:{PLAIN}secret:one\nmoves:{PLAIN}secret:one\ngoes:{PLAIN}secret:one\n")
    daemon.config.write_text(daemon.config.read_text() + 'users: {file: "%s"}\n' % users)
    daemon.start()
    clients = {n: log_in(door.ports["users"], n.encode()) for n in ("stays", "moves", "goes")}
    clients["nobody"] = log_in(door.ports["any"], b"stays")
    for name, client in clients.items():
        assert send_one(daemon, client)["scope"] == ("outer" if name == "nobody" else "one")
    users.write_text("stays:{PLAIN}secret:one\nmoves:{PLAIN}secret:two\n")
    door.write(users=keys % "required", any=keys % "required")
    reload(daemon)
    assert send_one(daemon, clients["stays"])["scope"] == "one"
    assert send_one(daemon, clients["moves"])["scope"] == "two"
    for name in ("goes", "nobody"):
        assert clients[name].command("MAIL FROM:<a@sender.test>")[0] == 530
    assert daemon.log().count("info logout session=") == 2
    for client in clients.values():
        with client:
            pass


def test_nobody_behind_a_proxy_borrows_its_word(make_daemon):
    """A header that names no client leaves the proxy's address, which is trusted: no XCLIENT."""
    door = Listeners(make_daemon, door="proxy_protocol: true, xclient: true, trusted: [127.0.0.1]")
    door.daemon.start()
    v2 = b"\r\n\r\n\0\r\nQUIT\n"
    rows = [(b"PROXY UNKNOWN\r\n", 550),
            (v2 + b"\x21\x00\x00\x00", 550),  # PROXY, unspecified
            (v2 + b"\x21\x12\x00\x0c" + b"\x7f\x00\x00\x01" * 3, 550),  # datagrams
            (v2 + b"\x21\x31\x00\xd8" + b"\0" * 216, 550),  # a unix socket
            (v2 + b"\x20\x00\x00\x00", 220)]  # LOCAL: the proxy itself
    for header, code in rows:
        with socket.create_connection(("127.0.0.1", door.ports["door"]), PATIENCE) as connection:
            connection.sendall(header)
            lines = connection.makefile("rb")
            assert lines.readline().startswith(b"220 ")
            connection.sendall(b"XCLIENT LOGIN=app\r\n")
            assert lines.readline().startswith(b"%d " % code), header
