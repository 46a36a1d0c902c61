"""
The programs people send with, each over plain SMTP, STARTTLS and implicit TLS, with and without
a login: one message for three recipients, of whom one is listed.
"""

import subprocess

import pytest

from clients import CLIENTS, Cache, Door, Mail, Missing
from daemon import STAGEPOST, Daemon, free_port, wait_for
from nexthop import NextHop

USER, PASSWORD = "app", "open-sesame"


class House(Daemon):
    """Two doors: one with STARTTLS, where plain is welcome too, one with implicit TLS."""

    def __init__(self, folder, next_hop):
        self.certificate = folder / "relay.pem"
        self.implicit_port = free_port()
        self.users = folder / "users"
        super().__init__(folder, next_hop)

    def write_config(self, settings=""):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
             str(self.folder / "relay.key"), "-out", str(self.certificate)],
            check=True, capture_output=True, timeout=60)
        self.users.touch(mode=0o600)
        self.users.write_text("%s:{PLAIN}%s\n" % (USER, PASSWORD))
        super().write_config()
        door = ('  - {address: "127.0.0.1:%d", tls: %s, tls_certificate: %s, tls_key: %s, '
                "auth: optional, auth_without_tls: %s}\n")
        key = self.folder / "relay.key"
        text = self.config.read_text().replace(
            'listeners: [{address: "127.0.0.1:%d"}]\n' % self.smtp_port,
            "listeners:\n"
            + door % (self.smtp_port, "starttls", self.certificate, key, "true")
            + door % (self.implicit_port, "implicit", self.certificate, key, "false"))
        self.config.write_text(text + "users: {file: %s}\n" % self.users)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    hop = NextHop()
    house = House(tmp_path_factory.mktemp("clients"), hop.address)
    house.hop = hop
    Cache.root = tmp_path_factory.mktemp("cache")
    house.start()
    house.allow("*-listed@example.com")
    yield house
    hop.close()
    house.close()


PROTOCOLS = {("none", False): "ESMTP", ("none", True): "ESMTPA",
             ("starttls", False): "ESMTPS", ("starttls", True): "ESMTPSA",
             ("implicit", False): "ESMTPS", ("implicit", True): "ESMTPSA"}


@pytest.mark.parametrize("login", [False, True], ids=["anonymous", "login"])
@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
@pytest.mark.parametrize("name", list(CLIENTS))
def test_client(house, tmp_path, name, tls, login):
    port = house.implicit_port if tls == "implicit" else house.smtp_port
    door = Door(port, tls, str(house.certificate), *((USER, PASSWORD) if login else ()))
    tag = "%s-%s-%s" % (name, tls, "login" if login else "anonymous")
    mail = Mail("app@sender.example", tag + "-listed@example.com", tag + "-cc@example.com",
                tag + "-bcc@example.com", "From " + tag)
    try:
        CLIENTS[name](door, mail, tmp_path)
    except Missing as why:
        pytest.skip("%s: %s" % (name, why))
    check(house, mail, PROTOCOLS[tls, login])


def check(house, mail, protocol):
    ledger = wait_for(lambda: rows(house, mail), "three recipients of %s" % mail.subject)
    message = house.message(ledger[mail.to])
    # Exim and others may send a message of its own for each.
    assert message["sender"] == mail.sender
    house.wait_states(message["id"], {**house.states(message["id"]), mail.to: "delivered"})
    for other in (mail.cc, mail.bcc):
        assert house.states(ledger[other])[other] == "dropped"
    copies = house.hop.copies_for(mail.to)
    assert len(copies) == 1 and copies[0].recipients == [mail.to]
    # Some say HELO when they need no extension.
    allowed = [protocol] if protocol.endswith("A") else [protocol, "SMTP"]
    assert any((" with %s " % p).encode() in copies[0].content for p in allowed), copies[0].content
    assert mail.cc not in house.hop.offered and mail.bcc not in house.hop.offered
    assert (message["client"]["user"] or "") == (USER if protocol.endswith("A") else "")
    shown = subprocess.run([STAGEPOST, "--data-dir", house.data_dir, "queue", "show", message["id"]],
                           check=True, capture_output=True, timeout=60).stdout.decode()
    assert ("User         %s\n" % USER in shown) == protocol.endswith("A"), shown
    assert bool(message["client"]["tls"]) == ("S" in protocol.replace("ESMTP", "")), message


def rows(house, mail):
    """Recipient to message id, once all three are there."""
    found = {}
    for recipient in mail.recipients:
        for item in house.get("/recipients?address=" + recipient)["items"]:
            found[recipient] = item["message"]
    return found if len(found) == 3 else None
