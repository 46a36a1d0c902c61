"""Proxies in front of the daemon: PROXY headers, XCLIENT, XFORWARD, and names of clients."""

import http.server
import os
import pathlib
import re
import shutil
import smtplib
import socket
import ssl
import struct
import subprocess
import threading

import pytest

from daemon import PATIENCE, Listeners, Smtp, free_port, queued_id, wait_for

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MESSAGE = b"Subject: by way of a proxy\r\n\r\nhello\r\n"
# The relay is reached from 127.0.0.1, the proxies from here.
CLIENT = "127.0.0.5"


def v1(source, destination="10.0.0.1", ports=(50001, 25)):
    return b"PROXY TCP4 %s %s %d %d\r\n" % (source.encode(), destination.encode(), *ports)


def tlv(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def v2(source, destination="10.0.0.1", ports=(50001, 25), tlvs=b""):
    body = socket.inet_aton(source) + socket.inet_aton(destination)
    body += struct.pack(">HH", *ports) + tlvs
    return SIGNATURE + b"\x21\x11" + struct.pack(">H", len(body)) + body


class Behind(Smtp):
    """A client whose connection begins with `header`."""

    def __init__(self, port, header, greet=True):
        self.header = header
        super().__init__(port, greet=greet)

    def reply(self):
        if self.header:
            self.write(self.header)
            self.header = b""
        return super().reply()


def closed_without_a_word(port, data=b""):
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(data)
        try:
            return connection.recv(100) == b""
        except ConnectionResetError:
            return True


def client_of(daemon, message):
    client = daemon.message(message)["client"]
    return client["address"], client["name"]




def test_proxy_headers(make_daemon, hop):
    """S048: both versions name the client, everywhere it is shown."""
    door = Listeners(make_daemon, hop, proxied=(
        "proxy_protocol: true, trusted: [127.0.0.1], networks: [192.0.2.0/24]"))
    daemon = door.daemon.start()
    daemon.allow("allowed.test")
    facts = b"\x01\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x23, b"TLS_AES_256_GCM_SHA384")
    headers = {
        v1("192.0.2.7"): b"(via 127.0.0.1)",
        v2("192.0.2.8", tlvs=tlv(2, b"mail.test") + tlv(0x20, facts)):
            b"(via 127.0.0.1 TLSv1.3 TLS_AES_256_GCM_SHA384 for mail.test)",
    }
    for number, (header, via) in enumerate(headers.items()):
        with Behind(door.ports["proxied"], header) as client:
            message = client.send("a@sender.test", ["a@allowed.test"], MESSAGE)
        daemon.wait_states(message, {"a@allowed.test": "delivered"})
        address = "192.0.2.%d" % (7 + number)
        assert client_of(daemon, message) == (address, None)
        lines = hop.messages[-1].content.split(b"\r\n\t")
        assert lines[0] == b"Received: from client.test ([%s])" % address.encode()
        assert lines[1] == via
        assert b" with ESMTP id " in lines[2]
    with pytest.raises(ConnectionError):
        Behind(door.ports["proxied"], b"EHLO client.test\r\n")
    with Behind(door.ports["proxied"], v1("203.0.113.7"), greet=False) as client:
        assert client.greeting[0] == 554
    wait_for(lambda: re.search(
        r"refused session=\w+ client=203\.0\.113\.7 via=127\.0\.0\.1 reason=", daemon.log()),
             "the log line")
    # who may speak for others changes with the file, for connections to come
    door.write(proxied="proxy_protocol: true, trusted: [127.0.0.9]")
    daemon.hup()
    wait_for(lambda: closed_without_a_word(door.ports["proxied"], v1("192.0.2.7")),
             "nobody to be trusted")
    wait_for(lambda: "not one of the listener's trusted proxies" in daemon.log(), "the log line")


def test_tls_behind_a_header(make_daemon):
    """The ClientHello comes in the header's segment: not an octet of it is lost."""
    door = Listeners(make_daemon, implicit="tls: implicit, proxy_protocol: true, "
                                           "trusted: [127.0.0.1], networks: [192.0.2.0/24]")
    daemon = door.daemon.start()
    context = ssl.create_default_context(cafile=str(daemon.data_dir / "tls.crt"))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with socket.create_connection(("127.0.0.1", door.ports["implicit"]), PATIENCE) as connection:
        connection.sendall(v2("192.0.2.7") + outgoing.read())

        def call(what, *arguments):
            while True:
                try:
                    result = what(*arguments)
                    connection.sendall(outgoing.read())
                    return result
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65536))

        call(tls.do_handshake)
        assert call(tls.read, 1000).startswith(b"220 relay.test ESMTP")
        call(tls.write, b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n")
        text = b""
        while b"354 " not in text:
            text += call(tls.read, 10000)
        call(tls.write, MESSAGE + b".\r\n")
        answer = call(tls.read, 1000).decode()
    message = queued_id((int(answer[:3]), answer[4:]))
    assert client_of(daemon, message) == ("192.0.2.7", None)
    assert daemon.message(message)["client"]["tls"].startswith("TLSv1.3 ")


def test_proxy_at_a_unix_socket(make_daemon):
    """Who may open the socket is trusted: its permissions say so. The client is still judged."""
    daemon = make_daemon(start=False)
    path = daemon.folder / "smtp"
    text = daemon.config.read_text()
    daemon.config.write_text(re.sub(
        "(?m)^listeners: .*", 'listeners: [{address: "unix:%s", proxy_protocol: true, '
        'networks: [192.0.2.0/24]}]' % path, text))
    daemon.start()
    for header, want in ((v1("192.0.2.7"), b"220"), (v1("203.0.113.7"), b"554")):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(header)
            assert connection.recv(1000)[:3] == want, header
    assert "client=203.0.113.7 via=unix" in daemon.log()


def test_xclient(make_daemon, hop):
    """S047: swaks and smtplib speak for others where they are trusted, and nowhere else."""
    door = Listeners(
        make_daemon, hop, plain="",
        xclient="xclient: true, trusted: [127.0.0.1], networks: [127.0.0.0/8, 192.0.2.0/24]")
    daemon = door.daemon.start()
    daemon.allow("allowed.test")
    with smtplib.SMTP("127.0.0.1", door.ports["xclient"], timeout=PATIENCE) as client:
        client.ehlo("proxy.test")
        assert client.has_extn("xclient") and client.has_extn("xforward")
        command = "XCLIENT NAME=spike.test ADDR=192.0.2.7 PORT=50001 LOGIN=bob"
        assert client.docmd(command)[0] == 220
        assert client.docmd("MAIL FROM:<a@sender.test>")[0] == 503
        client.ehlo("spike.test")
        assert not client.has_extn("xclient")
        assert client.mail("a@sender.test")[0] == 250
        assert client.rcpt("a@allowed.test")[0] == 250
        code, text = client.data(MESSAGE)
        message = queued_id((code, text.decode()))
    daemon.wait_states(message, {"a@allowed.test": "delivered"})
    client = daemon.message(message)["client"]
    assert (client["address"], client["name"], client["user"]) == ("192.0.2.7", "spike.test", "bob")
    lines = hop.messages[-1].content.split(b"\r\n\t")
    assert lines[0] == b"Received: from spike.test (spike.test [192.0.2.7])"
    assert lines[1] == b"(via 127.0.0.1)" and b" with ESMTPA id " in lines[2]
    assert re.search(r"xclient session=\w+ client=192\.0\.2\.7 port=50001 via=127\.0\.0\.1 "
                     r"name=spike\.test .*user=bob", daemon.log())
    with Smtp(door.ports["plain"]) as client:
        assert client.command("XCLIENT ADDR=127.0.0.1 LOGIN=admin")[0] == 502
        assert client.command("XFORWARD ADDR=127.0.0.1")[0] == 502
        message = client.send("a@sender.test", ["a@allowed.test"], MESSAGE)
        assert daemon.message(message)["client"]["user"] is None
    with Smtp(door.ports["xclient"]) as client:
        assert client.command("XFORWARD NAME=spike.test ADDR=192.0.2.7 IDENT=4Xyz")[0] == 250
        message = client.send("a@sender.test", ["a@allowed.test"], MESSAGE)
    assert client_of(daemon, message) == ("127.0.0.1", None)
    daemon.wait_states(message, {"a@allowed.test": "delivered"})
    assert hop.messages[-1].content.split(b"\r\n\t")[1] == \
        b"(forwarded for spike.test [192.0.2.7] ident=4Xyz)"
    assert "message=%s client=\"spike.test [192.0.2.7] ident=4Xyz\"" % message in daemon.log()


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed")
def test_swaks_with_xclient(make_daemon):
    door = Listeners(make_daemon, xclient=(
        "xclient: true, trusted: [127.0.0.1], networks: [127.0.0.0/8, 192.0.2.0/24]"))
    daemon = door.daemon.start()
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(door.ports["xclient"]), "--helo", "a.test",
         "--from", "a@sender.test", "--to", "b@allowed.test", "--xclient-name", "spike.test",
         "--xclient-addr", "192.0.2.7", "--xclient-helo", "spike", "--xclient-proto", "ESMTP"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout
    message = re.search(r"queued as (\w{26})", done.stdout).group(1)
    assert client_of(daemon, message) == ("192.0.2.7", "spike.test")


def test_names_of_clients(make_daemon):
    """127.0.0.1 leads to a name and back nearly everywhere; 127.0.0.5 nowhere without a network."""
    try:
        if socket.gethostbyaddr("127.0.0.1")[0] != "localhost":
            pytest.skip("127.0.0.1 is not localhost here")
    except OSError:
        pytest.skip("127.0.0.1 has no name here")
    door = Listeners(make_daemon, named="resolve_client: true", plain="")
    daemon = door.daemon.start()
    for name, want in (("named", "localhost"), ("plain", None)):
        with Smtp(door.ports[name]) as client:
            message = client.send("a@sender.test", ["a@allowed.test"], MESSAGE)
        assert client_of(daemon, message) == ("127.0.0.1", want)


# --- proxies that others wrote --------------------------------------------------


def program(name):
    path = shutil.which(name, path="%s:/usr/sbin:/usr/local/sbin" % (
        os.environ.get("PATH", "")))
    return pathlib.Path(path) if path else None


class Running:
    """A proxy in the foreground, from a configuration file."""

    def __init__(self, folder, name, text, *command):
        self.port = free_port()
        self.log = folder / (name + ".log")
        config = folder / (name + ".conf")
        config.write_text(text.replace("@PORT@", str(self.port)))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(word) for word in command] + [str(config)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        wait_for(self.is_up, "the proxy to listen:\n%s" % self.log.read_text())
        return self

    def is_up(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


def send_from_afar(port):
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE, source_address=(CLIENT, 0),
                      local_hostname="app.test") as client:
        client.ehlo()
        assert client.mail("a@sender.test")[0] == 250
        assert client.rcpt("b@allowed.test")[0] == 250
        code, text = client.data(MESSAGE)
        return queued_id((code, text.decode()))


@pytest.mark.skipif(not program("haproxy"), reason="haproxy is not installed")
def test_haproxy(make_daemon, tmp_path):
    door = Listeners(make_daemon, proxied="proxy_protocol: true, trusted: [127.0.0.1]")
    daemon = door.daemon.start()
    for option in ("send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn proxy-v2-options crc32c"):
        text = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen smtp
  bind 127.0.0.1:@PORT@
  server relay 127.0.0.1:%d %s
""" % (door.ports["proxied"], option)
        with Running(tmp_path, "haproxy", text, program("haproxy"), "-db", "-f") as proxy:
            message = send_from_afar(proxy.port)
        assert client_of(daemon, message) == (CLIENT, None), option


class Auth(http.server.BaseHTTPRequestHandler):
    """nginx's auth_http: everybody to the relay."""

    relay = 0

    def do_GET(self):
        self.send_response(200)
        self.send_header("Auth-Status", "OK")
        self.send_header("Auth-Server", "127.0.0.1")
        self.send_header("Auth-Port", str(self.relay))
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.skipif(not program("nginx"), reason="nginx is not installed")
def test_nginx_mail(make_daemon, tmp_path):
    """Its mail module: XCLIENT, and XCLIENT behind a PROXY header."""
    module = program("nginx").parents[1] / "lib/nginx/modules/ngx_mail_module.so"
    if not module.exists():
        pytest.skip("nginx has no mail module")
    door = Listeners(
        make_daemon, xclient="xclient: true, trusted: [127.0.0.1]",
        both="proxy_protocol: true, xclient: true, trusted: [127.0.0.0/8]")
    daemon = door.daemon.start()
    server = http.server.HTTPServer(("127.0.0.1", 0), Auth)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, option in (("xclient", "off"), ("both", "on")):
        Auth.relay = door.ports[name]
        text = """
load_module %s;
daemon off;
master_process off;
pid %s/nginx.pid;
error_log stderr;
events {}
mail {
  server_name proxy.test;
  auth_http http://127.0.0.1:%d/;
  server {
    listen 127.0.0.1:@PORT@;
    protocol smtp;
    smtp_auth none;
    xclient on;
    proxy_protocol %s;
  }
}
""" % (module, tmp_path, server.server_address[1], option)
        with Running(tmp_path, "nginx", text, program("nginx"), "-p", tmp_path, "-e", "stderr",
                     "-c") as proxy:
            message = send_from_afar(proxy.port)
        assert client_of(daemon, message) == (CLIENT, None), name
        assert daemon.message(message)["client"]["helo"] == "app.test"
    server.shutdown()
