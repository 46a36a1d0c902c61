"""
Postfix, Exim and OpenSMTPD as next hops: each of its own kind, in a folder of its own, with a port
for SMTP (and STARTTLS) and one for implicit TLS, and one maildir for everybody's mail. Those that
pass mail on instead, and Sendmail: passing.py.
"""

import os
import re
import shutil
import socket
import subprocess
import threading
import time

import postfix
from clients import Cache, Missing, answers, need, need_mount_namespace, open_folder
from daemon import free_port, wait_for
from hop import server_context
from nexthop import OWN_RECEIVED

DOMAINS = ("none.test", "starttls.test", "implicit.test")


FIELD = re.compile(rb"([\x21-\x39\x3b-\x7e]+)[ \t]*:")
# For those who also take 8-bit names, and none at all.
ANY_FIELD = re.compile(rb"([\x21-\x39\x3b-\x7e\x80-\xff]*)[ \t]*:")


class Mta:
    """start(), then everything that arrived with arrived(), and stop()."""

    added = ()  # the fields that it puts in front
    preparation = ""
    refuses = None  # the pattern of what it says to a message that it does not like
    # What they do to a header that is not as it should be:
    field = FIELD
    joins_colons = False
    drops_blank_lines = False
    ends_header = False
    cuts_at_nul = False

    def __init__(self, certificate, key):
        if os.geteuid() != 0:
            raise Missing("an MTA wants root")
        self.ports = {"smtp": free_port(), "smtps": free_port()}
        self.folder = open_folder()
        self.mail = self.folder / "mail"
        self.mail.mkdir()
        self.certificate = self.folder / "server.crt"
        self.key = self.folder / "server.key"
        shutil.copy(certificate, self.certificate)
        shutil.copy(key, self.key)
        self.process = None
        self.log = self.folder / "log.txt"

    def values(self):
        """What its configuration names."""
        return {"folder": self.folder, **self.ports}

    def host(self, tls):
        return "localhost:%d" % self.ports["smtps" if tls == "implicit" else "smtp"]

    def run(self, *command):
        """In a mount namespace, where the machine has the accounts and folders it insists on."""
        need_mount_namespace()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "-m", "sh", "-euc", self.preparation + '\nexec "$@"', "sh",
                 str(self.folder), *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self):
        wait_for(lambda: all(answers(port) for port in self.ports.values()),
                 "%s to listen" % type(self).__name__)
        return self

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def files(self):
        return list((self.mail / "new").glob("*")) if (self.mail / "new").is_dir() else []

    def arrived(self):
        """Recipient to content, without what it put in front; with CRLF."""
        contents = {}
        for file in self.files():
            content = file.read_bytes().replace(b"\n", b"\r\n")
            own = OWN_RECEIVED.search(content)
            assert own, (file, content[:600])
            front = content[:own.start()].decode("latin-1")
            recipient = re.search(self.recipient, front).group(1)
            names = re.findall(r"^([^ \t:]+):", front, re.M)
            assert set(names) <= set(self.added), front
            assert recipient not in contents, "%s came twice" % recipient
            contents[recipient] = self.undo(content[own.end():])
        return contents

    def undo(self, content):
        """Without what it puts elsewhere than in front."""
        return content

    def changes(self, content):
        """(what it is known to make of a message, the names of the changes). The body stays."""
        made, names = [], set()
        if self.cuts_at_nul and b"\0" in content:
            names.add("lines cut at a NUL")
            content = re.sub(rb"\0[^\r]*", b"", content)
        lines = content.split(b"\r\n")[:-1]  # what is left behind the last CRLF is empty
        for i, line in enumerate(lines):
            match = self.field.match(line)
            if line[:1] in (b" ", b"\t"):
                made.append(line)
                continue
            while self.drops_blank_lines and made and not made[-1].strip():
                made.pop()
                names.add("folded lines of blanks at a field's end removed")
            if match is None:
                if line:
                    names.add("an empty line in front of what is no field")
                    made.append(b"")
                return b"\r\n".join([*made, *lines[i:], b""]), names
            if line.startswith(match.group(1) + b":") or not self.joins_colons:
                made.append(line)
            else:
                names.add("blanks in front of a colon removed")
                made.append(match.group(1) + b":" + line[match.end():])
        if self.ends_header:
            names.add("an empty line behind the header")
            made.append(b"")
        return b"\r\n".join([*made, b""]), names


POSTFIX_MAIN = """\
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_cert_file = {folder}/server.crt
smtpd_tls_key_file = {folder}/server.key
smtpd_tls_security_level = may
virtual_mailbox_domains = none.test starttls.test implicit.test
virtual_mailbox_base = {folder}
virtual_mailbox_maps = static:mail/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = 0
header_size_limit = 10000000
hopcount_limit = 100
in_flow_delay = 0
smtpd_hard_error_limit = 1000
disable_mime_input_processing = yes
local_header_rewrite_clients =
message_drop_headers =
"""

POSTFIX_MASTER = """\
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
virtual unix - n n - - virtual
"""


class Postfix(Mta):
    added = ("Return-Path", "X-Original-To", "Delivered-To", "Received")
    recipient = r"(?m)^X-Original-To: (\S+)\r?$"
    joins_colons = True
    main = POSTFIX_MAIN
    master = POSTFIX_MASTER

    def start(self):
        self.program = need("postfix", "postfix")
        os.chown(self.mail, 65534, 65534)
        postfix.configure(self.folder, self.main.format(**self.values()),
                          self.master.format(**self.values()))
        self._say("start")
        return self.wait()

    def _say(self, word):
        subprocess.run([self.program, "-c", str(self.folder / "etc"), word], check=True,
                       capture_output=True, timeout=60)

    def stop(self):
        if (self.folder / "etc").is_dir():
            self._say("stop")
        super().stop()


EXIM = """\
primary_hostname = exim.test
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
keep_environment =
never_users =
local_interfaces = <; 127.0.0.1.{smtp} ; 127.0.0.1.{smtps}
tls_on_connect_ports = {smtps}
tls_advertise_hosts = *
tls_certificate = {folder}/server.crt
tls_privatekey = {folder}/server.key
acl_smtp_rcpt = accept
acl_smtp_data = accept
host_lookup =
message_size_limit = 0
header_maxsize = 10M
received_headers_max = 200
smtp_accept_max = 0
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
return_path_remove = false
envelope_to_remove = false
delivery_date_remove = false
begin routers
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  maildir_format
  directory = {folder}/mail
  user = Debian-exim
  envelope_to_add
begin retry
* * F,1s,1s
"""


class Exim(Mta):
    added = ("Envelope-to", "Received")
    recipient = r"(?m)^Envelope-to: (\S+)\r?$"
    field = ANY_FIELD
    drops_blank_lines = True
    ends_header = True
    config = EXIM
    preparation = """\
cp /etc/passwd "$1/passwd"; cp /etc/group "$1/group"
echo "Debian-exim:x:64990:64990::/tmp:/bin/false" >>"$1/passwd"
echo "Debian-exim:x:64990:" >>"$1/group"
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
chown -R 64990:64990 "$1/spool" "$1/log" "$1/mail" "$1/server.key"
shift"""

    def start(self):
        program = Cache.unpack("exim4-daemon-light") / "usr/sbin/exim4"
        for name in ("spool", "log"):
            (self.folder / name).mkdir()
        config = self.folder / "exim.conf"
        config.write_text(self.config.format(program=program, **self.values()))
        config.chmod(0o644)
        self.run(str(program), "-C", str(config), "-bdf")
        return self.wait()


OPENSMTPD = """\
smtp max-message-size 100M
table boxes {{ "@" = "nobody" }}
listen on 127.0.0.1 port {port} hostname opensmtpd.test
action "in" maildir "{folder}/mail" virtual <boxes>
match from any for any action "in"
"""


class TlsFront:
    """
    Ends TLS in front of an SMTP server: one port that begins with it, one with STARTTLS (or
    without, as the client likes). All else goes through as it comes.
    """

    def __init__(self, ports, back, context):
        self.back = back
        self.context = context
        self.listeners = {kind: socket.create_server(("127.0.0.1", port), backlog=50)
                          for kind, port in ports.items()}
        for kind, listener in self.listeners.items():
            threading.Thread(target=self._accept, args=(kind, listener), daemon=True).start()

    def close(self):
        for listener in self.listeners.values():
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, kind, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(kind, client), daemon=True).start()

    def _serve(self, kind, client):
        try:
            server = self._connect()
            if kind == "smtps":
                client = self.context.wrap_socket(client, server_side=True)
            else:
                client, server = self._begin(client, server)
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()
        except OSError:
            pass
        finally:
            client.close()

    def _begin(self, client, server):
        """Up to EHLO (in clear) or STARTTLS, which it answers itself."""
        client.sendall(server.recv(4096))
        said = client.recv(4096)
        server.sendall(said)
        answer = server.recv(4096)
        client.sendall(answer.replace(b"250 HELP", b"250-STARTTLS\r\n250 HELP"))
        said = client.recv(4096)
        if said != b"STARTTLS\r\n":
            server.sendall(said)
            return client, server
        client.sendall(b"220 2.0.0 Go ahead\r\n")
        server.close()
        server = self._connect()  # one that has not heard EHLO yet
        server.recv(4096)
        return self.context.wrap_socket(client, server_side=True), server

    def _connect(self):
        return socket.create_connection(("127.0.0.1", self.back), 60)


def pump(source, sink):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Opensmtpd(Mta):
    """
    Debian 12's breaks every TLS handshake by OpenSSL 3 (OpenSMTPD issues 1171 and 1239): another
    program ends TLS in front of it.
    """

    added = ("Return-Path", "Delivered-To", "Received")
    recipient = r"(?m)^Delivered-To: (\S+)\r?$"
    front = None
    config = OPENSMTPD
    field = ANY_FIELD
    cuts_at_nul = True
    refuses = r"550 5\.7\.1 .*not RFC 2822 compliant"
    missing = re.compile(rb"(?:Date: [^\r\n]* \(UTC\)\r\n)?"
                         rb"(?:Message-ID: <[0-9a-f]+@opensmtpd\.test>\r\n)?\Z")
    preparation = """\
cp /etc/passwd "$1/passwd"; cp /etc/group "$1/group"
for pair in opensmtpd:64991 opensmtpq:64992; do
	echo "${pair%:*}:x:${pair#*:}:${pair#*:}::/var/lib/opensmtpd/empty:/bin/false" >>"$1/passwd"
	echo "${pair%:*}:x:${pair#*:}:" >>"$1/group"
done
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
mount --bind "$2" /usr/libexec
for folder in /var/lib /var/spool /run; do mount -t tmpfs -o mode=755 none $folder; done
mkdir -p /var/lib/opensmtpd/empty
mkdir -m 711 /var/spool/smtpd
chown -R nobody "$1/mail"
shift 2"""

    def undo(self, content):
        """Date and Message-ID, at the end of a header that has none, and its name behind each
        name of the header that has no domain."""
        end = content.find(b"\r\n\r\n") + 2
        if end < 2:
            end = len(content)
        header = self.missing.sub(b"", content[:end])
        return header.replace(b"@opensmtpd.test", b"") + content[end:]

    def start(self):
        root = Cache.unpack("opensmtpd")
        port = free_port()
        config = self.folder / "smtpd.conf"
        config.write_text(self.config.format(port=port, **self.values()))
        config.chmod(0o600)
        self.run(str(root / "usr/libexec"), str(root / "usr/sbin/smtpd"), "-d", "-f",
                 str(config))
        wait_for(lambda: answers(port), "OpenSMTPD to listen")
        self.front = TlsFront(self.ports, port, server_context(self.certificate, self.key))
        return self

    def stop(self):
        if self.front is not None:
            self.front.close()
        super().stop()


MTAS = {"postfix": Postfix, "exim": Exim, "opensmtpd": Opensmtpd}


def wait_for_mail(mta, count, timeout):
    """So many files, or as many as come at all; how many."""
    deadline = time.monotonic() + timeout
    while len(mta.files()) < count and time.monotonic() < deadline:
        time.sleep(0.2)
    return len(mta.files())
