"""CASES 2.I, S233, S234, S238, S239: what can be wrong with TLS and with a login. Nothing is sent
in clear or to a stranger, and the recipient's history says in one sentence what is the matter."""

import re
import ssl

import pytest

from certificates import Authority, openssl
from daemon import wait_for
from hop import Step, drop, raw, reset, say, server_context, stall, then

LOGIN = {"username": "staging", "password": "secret-word"}


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def named(hop):
    """So that there is a name to be checked."""
    return "localhost:%d" % hop.port


def plant(farm, name, script=(), tls="required", **options):
    """A next hop that is reached as localhost, by `route` and with the context of `options`."""
    keys = {"tls": tls, **options.pop("route", {})}
    hop = farm.hop(name, script, route=keys, implicit=tls == "implicit", **options)
    farm.routes[-1]["hosts"] = [named(hop)]
    return hop


def check_deferred(farm, reasons):
    """name to the pattern of the first attempt's reason."""
    wrong = {}
    for name, pattern in reasons.items():
        event, code, reason, _ = farm.wait_first(name)
        if event != "deferred" or not re.search(pattern, reason):
            wrong[name] = (event, code, reason)
    assert wrong == {}


def check_nothing_was_said(farm, *names):
    for name in names:
        hop = farm.hops[name]
        assert hop.messages == [] and hop.offered == [] and hop.lines == [], name


def test_s233_tls_that_is_not_to_be_had(farm, authority):
    """No STARTTLS (stripped or never there), 454, a broken handshake, words in front of it."""
    certificate = authority.sign("good", "/CN=localhost")
    context = server_context(*certificate)
    ca = {"tls_ca": str(authority.certificate)}
    plant(farm, "stripped", route=ca)
    plant(farm, "not-now", [Step("starttls", say("454 4.7.0 TLS not available"))], route=ca,
          context=context)
    plant(farm, "no", [Step("starttls", say("502 5.5.1 what?"))], route=ca, context=context)
    plant(farm, "drops", [Step("starttls", then(say("220 go"), drop()))], route=ca,
          context=context)
    plant(farm, "resets", [Step("starttls", then(say("220 go"), reset()))], route=ca,
          context=context)
    plant(farm, "noise", [Step("starttls", then(say("220 go"), raw(b"x" * 100), drop()))],
          route=ca, context=context)
    plant(farm, "silent", [Step("starttls", then(say("220 go"), stall()))], route=ca,
          context=context)
    plant(farm, "injects", [Step("starttls", say(b"220 go\r\n250-a\r\n250 AUTH PLAIN\r\n"))],
          route=ca, context=context)
    plant(farm, "plain-at-tls", [Step("connect", then(raw(b"220 hello\r\n"), stall(2)))],
          tls="implicit", route=ca, context=context)
    plant(farm, "good", route=ca, context=context)
    plant(farm, "good-implicit", tls="implicit", route=ca, context=context)
    farm.start().send_all()
    for name in ("good", "good-implicit"):
        farm.wait_state(name, "delivered")
    check_deferred(farm, {
        "stripped": "does not offer STARTTLS",
        "not-now": "STARTTLS: 454 TLS not available",
        "no": "STARTTLS: 502 what",
        "drops": "TLS|clos",
        "resets": "TLS|reset|clos",
        "noise": "TLS",
        "silent": "did not answer in time|TLS",
        "injects": "injected behind STARTTLS",
        "plain-at-tls": "TLS",
    })
    check_nothing_was_said(farm, *(n for n in farm.hops if not n.startswith("good")))
    farm.check(settled=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_s234_certificates_that_do_not_do(farm, authority, tmp_path):
    """And S184: whoever a name leads to must show the certificate of that name."""
    stranger = Authority(tmp_path / "other", "Other CA")
    ca = {"tls_ca": str(authority.certificate)}

    def context(file, *arguments, signer=authority, careless=False, **options):
        return server_context(*signer.sign(file, "/CN=localhost", *arguments, **options),
                              careless)

    weak = context("weak", key=("rsa", "-pkeyopt", "rsa_keygen_bits:1024"), careless=True)
    old = context("old", careless=True)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    plant(farm, "expired", route=ca, context=context("expired", days=-1))
    plant(farm, "wrong-name", route=ca, context=context("wrong", "DNS:other.test"))
    plant(farm, "ip-only", route=ca, context=context("ip", "IP:127.0.0.1"))
    plant(farm, "unknown-ca", route=ca, context=context("unknown", signer=stranger))
    plant(farm, "self-signed", route=ca, context=self_signed(tmp_path))
    plant(farm, "weak-key", route=ca, context=weak)
    plant(farm, "tls-1-1", route=ca, context=old)
    # By address the address must be in it.
    by_ip = plant(farm, "by-ip", route=ca, context=context("by-ip", "DNS:localhost"))
    farm.routes[-1]["hosts"] = [by_ip.address]
    good_ip = plant(farm, "good-ip", route=ca, context=context("good-ip", "IP:127.0.0.1"))
    farm.routes[-1]["hosts"] = [good_ip.address]
    plant(farm, "unverified", route={"tls_verify": False}, context=context("u", signer=stranger))
    farm.start().send_all()
    for name in ("good-ip", "unverified"):
        farm.wait_state(name, "delivered")
    check_deferred(farm, {
        "expired": "expired",
        "wrong-name": "name|localhost",
        "ip-only": "name|localhost",
        "unknown-ca": "issuer|authority|signed|trust|verif",
        "self-signed": "self.signed|trust|verif",
        "weak-key": "key|weak|security level",
        "tls-1-1": "version|protocol",
        "by-ip": "name|127.0.0.1|address",
    })
    check_nothing_was_said(farm, *(n for n in farm.hops if n not in ("good-ip", "unverified")))
    farm.check(settled=False)


def self_signed(folder):
    key, certificate = folder / "self.key", folder / "self.crt"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2",
            "-keyout", key, "-out", certificate)
    return server_context(certificate, key)


def test_s238_authorities_that_do_not_do(farm, authority, tmp_path, monkeypatch):
    """What libesmtp would read from the home folder has no say; a bad file is said at start."""
    home = tmp_path / "home"
    (home / ".authenticate").mkdir(parents=True)
    (home / ".authenticate/ca.pem").write_text("nonsense")
    monkeypatch.setenv("HOME", str(home))
    old = Authority(tmp_path / "old", "Old CA")
    context = server_context(*old.sign("late", "/CN=localhost"))
    valid = old.certificate.read_text()
    expired = openssl("x509", "-in", old.certificate, "-signkey", old.key, "-days", "-1")
    old.certificate.write_text(expired)
    plant(farm, "expired-ca", route={"tls_ca": str(old.certificate)}, context=context)
    plant(farm, "good", route={"tls_ca": str(authority.certificate)},
          context=server_context(*authority.sign("good", "/CN=localhost")))
    farm.start().send_all()
    farm.wait_state("good", "delivered")
    check_deferred(farm, {"expired-ca": "expired"})
    check_nothing_was_said(farm, "expired-ca")
    farm.check(settled=False)
    # Rotated: the new file counts after a reload, and a missing one leaves the old settings.
    daemon = farm.daemon
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace(str(old.certificate), str(tmp_path / "none.pem")))
    daemon.hup()
    wait_for(lambda: "none.pem" in daemon.log(), "the complaint about the file")
    old.certificate.write_text(valid)
    daemon.config.write_text(text)
    daemon.hup()
    farm.wait_state("expired-ca", "delivered")


def test_s239_a_login_that_fails(farm, authority):
    """No mail without the login that the route wants, and no password in clear."""
    context = server_context(*authority.sign("good", "/CN=localhost"))
    keys = {"tls_ca": str(authority.certificate), **LOGIN}
    auth = ("PIPELINING", "AUTH PLAIN LOGIN")
    plant(farm, "wrong", [Step("auth", say("535 5.7.8 wrong"))], route=keys, context=context,
          extensions=auth)
    plant(farm, "later", [Step("auth", say("454 4.7.0 try later"))], route=keys, context=context,
          extensions=auth)
    plant(farm, "missing", route=keys, context=context)
    plant(farm, "drops", [Step("auth", drop())], route=keys, context=context, extensions=auth)
    plant(farm, "in-clear", tls="opportunistic", route=LOGIN, extensions=auth)
    plant(farm, "good", [Step("auth", say("235 2.7.0 welcome"))], route=keys, context=context,
          extensions=auth)
    farm.start().send_all()
    farm.wait_state("good", "delivered")
    for name in set(farm.hops) - {"good"}:
        event, _, reason, _ = farm.wait_first(name)
        # A wrong password bounces nobody's mail: a person has to look.
        assert event in ("deferred", "held"), (name, event, reason)
        assert LOGIN["password"] not in reason
    check_nothing_was_said(farm, *(n for n in farm.hops if n != "good"))
    # The only words that hold the password were said inside TLS.
    assert farm.hops["in-clear"].reached("auth") == 0
    assert LOGIN["password"] not in farm.daemon.log()
    assert "535" in farm.wait_first("wrong")[2]
    farm.check(settled=False)
