"""policy.hook against the real thing: nginx's own requests, and scripts that were made for it."""

import re
import ssl

import pytest

from certificates import Authority
from daemon import Smtp, free_port, wait_for
from hook import Hook, nginx
from nginx import Processes
from test_hook import MESSAGE, SENDER, settings
from tlsclient import SecureSmtp

# As nginx's manual and many an example have it.
PHP = r"""<?php
if (($_SERVER['HTTP_X_KEY'] ?? '') !== 's3cret') { header('Auth-Status: wrong key'); exit; }
if (!preg_match('/^RCPT TO:\s*<([^>]+)>/', $_SERVER['HTTP_AUTH_SMTP_TO'] ?? '', $match)) {
    header('Auth-Status: no recipient');
    header('Auth-Error-Code: 501 5.1.3');
    exit;
}
if (intval($_SERVER['HTTP_AUTH_LOGIN_ATTEMPT']) > 10) { header('Auth-Status: too many'); exit; }
if (strncmp($match[1], 'good', 4) == 0) {
    header('Auth-Status: OK');
    header('Auth-Server: 127.0.0.1');
    header('Auth-Port: %d');
} else {
    header('Auth-Status: ' . $match[1] . ' is not for testing');
    header('Auth-Error-Code: 550 5.7.1');
    header('Auth-Wait: 1');
}
"""

CGI = r"""#!/bin/sh
printf 'Content-Type: text/html\r\n'
case $HTTP_AUTH_SMTP_TO in
'RCPT TO:<good'*)
    printf 'Auth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: %d\r\n' ;;
*)
    to=${HTTP_AUTH_SMTP_TO#*<}
    printf 'Auth-Status: %%s is not for testing\r\nAuth-Error-Code: 550 5.7.1\r\nAuth-Wait: 1\r\n' "${to%%%%>*}" ;;
esac
printf '\r\n'
"""


@pytest.fixture
def processes(tmp_path):
    processes = Processes(tmp_path)
    yield processes
    processes.close()


def test_our_request_is_nginxs_own(make_daemon, processes, hop):
    """C2: the same dialogue, through nginx and through us; what comes behind it is ours."""
    hook = Hook(lambda r: nginx(Auth_Status="OK", Auth_Server="127.0.0.1", Auth_Port=hop.port))
    try:
        proxy = processes.mail_proxy(hook.url, 'auth_http_header X-Key "s3cret";')
        relay = make_daemon(hop.address, settings(hook.url, more=", headers: {X-Key: s3cret}"))
        relay.allow("ok.test")
        for port in (proxy, relay.smtp_port):
            before = len(hook.requests)
            with Smtp(port, greet=False) as client:
                assert client.command("EHLO client.test")[0] == 250
                assert client.command("mail FROM:<%s>  SIZE=100 " % SENDER)[0] == 250
                assert client.command("RCPT TO:<Good.one@ok.test>")[0] == 250
                assert client.command("DATA")[0] == 354
                client.write(MESSAGE + b".\r\n")
                assert client.reply()[0] == 250
            wait_for(lambda: len(hook.requests) == before + 1, "the request")
        theirs, ours = hook.requests
        assert theirs.line == "GET /auth HTTP/1.0"
        assert ours.head.startswith(theirs.head + b"\r\nX-Relay-Rcpt: "), (theirs.head, ours.head)
    finally:
        hook.close()


# What comes first, the certificate that is shown, and what both tell of it.
CLIENTS = {
    "tls": (b"", None, "NONE"),
    "certificate": (b"", "trusted", "SUCCESS"),
    "untrusted": (b"", "other", "FAILED:"),
    "v1": (b"PROXY TCP4 192.0.2.7 192.0.2.9 4711 25\r\n", None, "NONE"),
    "v1-ipv6": (b"PROXY TCP6 2001:db8::7 2001:db8::9 4711 25\r\n", "trusted", "SUCCESS"),
    "v2": (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 9])
           + b"\x12\x67\0\x19", None, "NONE"),
}


@pytest.mark.parametrize("whole", [False, True], ids=["", "with-the-certificate"])
@pytest.mark.parametrize("kind", CLIENTS)
def test_what_is_told_of_the_connection(make_daemon, processes, hop, tmp_path, kind, whole):
    """Client certificates and PROXY headers: the same bytes from nginx and from us."""
    first, shown, verdict = CLIENTS[kind]
    ours = Authority(tmp_path / "ca")
    pair = ours.sign("relay", "/CN=relay")
    context = ssl.create_default_context(cafile=str(ours.certificate))
    context.check_hostname = False
    if shown:
        signer = ours if shown == "trusted" else Authority(tmp_path / "other", "Somebody")
        context.load_cert_chain(*signer.sign("client", "/O=Client, Org/CN=client öne"))
    hook = Hook(lambda r: nginx(Auth_Status="OK", Auth_Server="127.0.0.1", Auth_Port=hop.port))
    try:
        proxy = processes.mail_proxy(
            hook.url, "ssl_certificate %s; ssl_certificate_key %s; ssl_client_certificate %s;"
            " ssl_verify_client optional_no_ca; auth_http_pass_client_cert %s;"
            " set_real_ip_from 127.0.0.1; ssl_protocols TLSv1.2 TLSv1.3;"
            % (*pair, ours.certificate, "on" if whole else "off"),
            "ssl" + (" proxy_protocol" if first else ""))
        port = free_port()
        relay = make_daemon(hop.address, start=False)
        relay.config.write_text(
            "\n".join(line for line in relay.config.read_text().splitlines()
                      if not line.startswith("listeners:"))
            + '\nlisteners: [{address: "127.0.0.1:%d", tls: implicit, tls_certificate: "%s",'
            ' tls_key: "%s", tls_client_ca: "%s", tls_client: optional, proxy_protocol: %s,'
            ' trusted: [127.0.0.1], networks: ["0.0.0.0/0", "::/0"]}]\n'
            % (port, *pair, ours.certificate, "true" if first else "false")
            + settings(hook.url, more=", pass_client_certificate: %s"
                       % ("true" if whole else "false")).split("\ndelivery")[0] + "\n")
        relay.start()
        relay.allow("ok.test")
        for at in (proxy, port):
            before = len(hook.requests)
            with SecureSmtp(at, context, first) as client:
                assert client.command("EHLO client.test")[0] == 250
                client.envelope(SENDER, ["good@ok.test"])
                client.write(MESSAGE + b".\r\n")
                assert client.reply()[0] == 250
            wait_for(lambda: len(hook.requests) == before + 1, "the request")
        theirs, ours = hook.requests
        assert ours.head.startswith(theirs.head + b"\r\nX-Relay-Rcpt: "), (theirs.head, ours.head)
        assert re.sub(":.+", ":", ours["Auth-SSL-Verify"]) == verdict
        assert ("Auth-SSL-Serial" in dict(ours.fields)) == bool(shown)
        assert ("Auth-SSL-Cert" in dict(ours.fields)) == (whole and bool(shown))
        assert ("Proxy-Protocol-Server-Port" in dict(ours.fields)) == bool(first)
    finally:
        hook.close()


@pytest.mark.parametrize("kind", ["php", "cgi"])
def test_scripts_work_unchanged(make_daemon, processes, hop, tmp_path, kind):
    """The script of a mail proxy, behind nginx as its web server. It sees every recipient now."""
    script = tmp_path / ("auth." + kind)
    script.write_text((PHP if kind == "php" else CGI) % hop.port)
    script.chmod(0o755)
    web = processes.web_server(script, processes.php() if kind == "php" else processes.cgi())
    url = "http://127.0.0.1:%d/auth" % web
    # Through the proxy: the first recipient opens the way for all that follow (MTA 1.4).
    proxy = processes.mail_proxy(url, 'auth_http_header X-Key "s3cret";')
    with Smtp(proxy) as client:
        client.envelope(SENDER, ["good1@ok.test", "bad1@ok.test"])
        client.write(MESSAGE + b".\r\n")
        assert client.reply()[0] == 250
    assert hop.offered == ["good1@ok.test", "bad1@ok.test"]
    # Through us: each is asked about.
    relay = make_daemon("127.0.0.1:1", settings(
        url, more=", headers: {X-Key: s3cret}, allow_route: true"))
    relay.allow("ok.test")
    with Smtp(relay.smtp_port) as client:
        message = client.send(SENDER, ["good2@ok.test", "bad2@ok.test", "good3@ok.test"], MESSAGE)
    relay.wait_states(message, {"good2@ok.test": "delivered", "bad2@ok.test": "dropped",
                                "good3@ok.test": "delivered"})
    assert sorted(hop.offered[2:]) == ["good2@ok.test", "good3@ok.test"]
    bad = next(r for r in relay.message(message)["recipients"] if r["address"][0] == "b")
    assert bad["reason"] == "the policy hook: 550 5.7.1 bad2@ok.test is not for testing"
