"""Programs people send mail with, each as a function that hands over one message."""

import os
import pathlib
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile

from daemon import free_port, wait_for
from postfix import configure

TIMEOUT = 60


class Missing(Exception):
    """The client can't be had on this machine; the text says what is missing."""


class Door:
    """Where a client connects, and how: tls is "none", "starttls" or "implicit"."""

    def __init__(self, port, tls, certificate, user=None, password=None):
        self.port = port
        self.tls = tls
        self.certificate = certificate  # PEM file to trust; its name is localhost
        self.user = user
        self.password = password


class Mail:
    def __init__(self, sender, to, cc, bcc, subject):
        self.sender = sender
        self.to = to
        self.cc = cc
        self.bcc = bcc
        self.subject = subject

    @property
    def recipients(self):
        return [self.to, self.cc, self.bcc]

    @property
    def text(self):
        """With bare LFs, as programs on this machine want it; no Bcc."""
        return ("From: %s\nTo: %s\nCc: %s\nSubject: %s\n\nHello\n.a dot\n.\nbye\n" % (
            self.sender, self.to, self.cc, self.subject))


def need(program, package):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Missing("%s is not installed (apt-get install %s)" % (program, package))
    return path


def need_mount_namespace():
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        raise Missing("no mount namespace can be made here")


def open_folder():
    """For programs with a user of their own, who walks there: pytest's folders are closed."""
    folder = pathlib.Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    return folder


def run(command, text=None, **options):
    done = subprocess.run(command, input=text, capture_output=True, timeout=TIMEOUT,
                          text=True, check=False, **options)
    assert done.returncode == 0, "%s: exit %d\n%s%s" % (
        command[0], done.returncode, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


# --- small ones ------------------------------------------------------------------------


def swaks(door, mail, folder):
    command = [need("swaks", "swaks"), "--silent", "2", "--server", "127.0.0.1", "--port",
               str(door.port), "--from", mail.sender, "--to", ",".join(mail.recipients),
               "--header", "Subject: " + mail.subject, "--header", "To: " + mail.to]
    command += {"none": [], "starttls": ["--tls"], "implicit": ["--tls-on-connect"]}[door.tls]
    if door.tls != "none":
        command += ["--tls-verify", "--tls-ca-path", door.certificate, "--tls-sni", "localhost"]
    if door.user:
        command += ["--auth", "--auth-user", door.user, "--auth-password", door.password]
    run(command)


def smtplib_client(door, mail, folder):
    context = ssl.create_default_context(cafile=door.certificate)
    if door.tls == "implicit":
        client = smtplib.SMTP_SSL("localhost", door.port, timeout=TIMEOUT, context=context)
    else:
        client = smtplib.SMTP("localhost", door.port, timeout=TIMEOUT)
    with client:
        if door.tls == "starttls":
            client.starttls(context=context)
        if door.user:
            client.login(door.user, door.password)
        assert client.sendmail(mail.sender, mail.recipients, mail.text) == {}


def curl(door, mail, folder):
    scheme = "smtps" if door.tls == "implicit" else "smtp"
    command = [need("curl", "curl"), "-sS", "%s://localhost:%d" % (scheme, door.port),
               "--cacert", door.certificate, "--mail-from", mail.sender, "--crlf",
               "--upload-file", "-"]
    for recipient in mail.recipients:
        command += ["--mail-rcpt", recipient]
    if door.tls == "starttls":
        command.append("--ssl-reqd")
    if door.user:
        command += ["--config", str(secret_file(folder, "curl", 'user = "%s:%s"\n' % (
            door.user, door.password)))]
    run(command, mail.text)


def secret_file(folder, name, text):
    path = pathlib.Path(folder) / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def msmtp(door, mail, folder):
    lines = ["account default", "host localhost", "port %d" % door.port]
    if door.tls == "none":
        lines.append("tls off")
    else:
        lines += ["tls on", "tls_trust_file %s" % door.certificate,
                  "tls_starttls " + ("on" if door.tls == "starttls" else "off")]
    if door.user:
        # In clear it refuses PLAIN and LOGIN; a digest it does.
        lines += ["auth %s" % ("cram-md5" if door.tls == "none" else "on"),
                  "user " + door.user, "password " + door.password]
    rc = secret_file(folder, "msmtprc", "\n".join(lines) + "\n")
    run([need("msmtp", "msmtp"), "-C", str(rc), "-f", mail.sender, "--", *mail.recipients],
        mail.text)


def s_nail(door, mail, folder):
    scheme = "smtps" if door.tls == "implicit" else "smtp"
    login = "%s:%s@" % (door.user, door.password) if door.user else ""
    command = [need("s-nail", "s-nail"), "-:/", "-Sv15-compat", "-Snosave", "-Sttycharset=utf-8",
               "-S", "mta=%s://%slocalhost:%d" % (scheme, login, door.port),
               "-Ssmtp-auth=" + ("plain" if door.user else "none"),
               "-S", "tls-ca-file=" + str(door.certificate), "-Stls-verify=strict",
               "-Stls-ca-no-defaults", "-Ssendwait"]
    if door.tls == "starttls":
        command.append("-Ssmtp-use-starttls")
    command += ["-r", mail.sender, "-s", mail.subject, "-c", mail.cc, "-b", mail.bcc, mail.to]
    run(command, "Hello\n.a dot\nbye\n", env={**os.environ, "HOME": str(folder)})


PERL = r"""
use strict; use warnings; use Net::SMTP;
my ($port, $tls, $ca, $user, $password, $sender, @to) = @ARGV;
my %verify = (SSL_ca_file => $ca, SSL_verifycn_name => 'localhost', SSL_hostname => 'localhost');
my $smtp = Net::SMTP->new('localhost', Port => $port, Timeout => 30,
	$tls eq 'implicit' ? (SSL => 1, %verify) : ()) or die "connect: $@";
if ($tls eq 'starttls') { $smtp->starttls(%verify) or die 'starttls: ' . $smtp->message; }
if ($user ne '') { $smtp->auth($user, $password) or die 'auth: ' . $smtp->message; }
$smtp->mail($sender) or die 'mail: ' . $smtp->message;
for (@to) { $smtp->to($_) or die 'to: ' . $smtp->message; }
$smtp->data() or die 'data: ' . $smtp->message;
$smtp->datasend($_) while <STDIN>;
$smtp->dataend() or die 'end: ' . $smtp->message;
$smtp->quit();
"""


def net_smtp(door, mail, folder):
    perl = need("perl", "perl")
    modules = ["-MNet::SMTP"]
    if door.tls != "none":
        modules.append("-MIO::Socket::SSL")
    if door.user:
        modules += ["-MAuthen::SASL", "-MMIME::Base64"]
    if subprocess.run([perl, *modules, "-e", "1"], capture_output=True, check=False).returncode:
        raise Missing("Perl's modules are not there "
                      "(apt-get install libio-socket-ssl-perl libauthen-sasl-perl)")
    run([perl, "-e", PERL, str(door.port), door.tls, str(door.certificate), door.user or "",
         door.password or "", mail.sender, *mail.recipients], mail.text)


NODE = r"""
const [port, tls, user, password, sender, subject, to, cc, bcc] = process.argv.slice(2);
const transport = require('nodemailer').createTransport({
	host: 'localhost', port: Number(port), secure: tls === 'implicit',
	requireTLS: tls === 'starttls', ignoreTLS: tls === 'none',
	auth: user ? {user, pass: password} : undefined,
});
transport.sendMail({from: sender, to, cc, bcc, subject, text: 'Hello\n.a dot\n.\nbye\n'})
	.then((info) => { if (info.rejected.length) { throw new Error('rejected: ' + info.rejected); } })
	.catch((error) => { console.error(error.message); process.exit(1); });
"""


def nodemailer(door, mail, folder):
    node = need("node", "nodejs")
    home = Cache.folder() / "node"
    if not (home / "node_modules/nodemailer").is_dir():
        npm = need("npm", "npm")
        done = subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix",
                               str(home), "nodemailer"], capture_output=True, timeout=120,
                              check=False)
        if done.returncode:
            raise Missing("npm install nodemailer failed")
    script = home / "send.js"
    script.write_text(NODE)
    run([node, str(script), str(door.port), door.tls, door.user or "", door.password or "",
         mail.sender, mail.subject, mail.to, mail.cc, mail.bcc],
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(door.certificate)})


# --- whole MTAs --------------------------------------------------------------------------


class Cache:
    """Programs that can't be installed beside each other: fetched and unpacked, for this run."""

    root = None

    @classmethod
    def folder(cls):
        cls.root.mkdir(parents=True, exist_ok=True)
        return cls.root

    @classmethod
    def unpack(cls, package):
        target = cls.folder() / package
        if target.is_dir():
            return target
        work = cls.folder() / (package + ".deb.d")
        work.mkdir(exist_ok=True)
        try:
            subprocess.run(["apt-get", "download", "-qq", package], cwd=work, check=True,
                           capture_output=True, timeout=120)
            deb = next(work.glob("*.deb"))
            subprocess.run(["dpkg", "-x", str(deb), str(target)], check=True,
                           capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError, StopIteration):
            raise Missing("apt-get download %s failed" % package) from None
        return target


def opensmtpd(door, mail, folder):
    """Its smtp(1), which shares the client of its queue."""
    smtp = Cache.unpack("opensmtpd") / "usr/bin/smtp"
    scheme = {"none": "smtp+notls", "starttls": "smtp+tls", "implicit": "smtps"}[door.tls]
    login = "%s:%s@" % (door.user, door.password) if door.user else ""
    if door.user and door.tls == "none":
        raise Missing("it logs in over TLS only")
    # Trusts the system's authorities alone: -C.
    run([str(smtp), "-C", "-s", "%s://%slocalhost:%d" % (scheme, login, door.port), "-F",
         mail.sender, *mail.recipients], mail.text)


EXIM = """\
primary_hostname = exim.test
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
keep_environment =
never_users =
deliver_drop_privilege
tls_advertise_hosts =
begin routers
all:
  driver = manualroute
  transport = relay
  route_list = * localhost byname
  self = send
begin transports
relay:
  driver = smtp
  port = {port}
  allow_localhost
  hosts_try_chunking = *
{options}
begin retry
* * F,1s,1s
begin authenticators
{authenticator}
"""

# It insists on an account of its own: in a mount namespace it gets one, the machine none.
EXIM_START = """\
set -eu
cp /etc/passwd "$1/passwd"; cp /etc/group "$1/group"
echo "Debian-exim:x:64990:64990::/tmp:/bin/false" >>"$1/passwd"
echo "Debian-exim:x:64990:" >>"$1/group"
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
chown -R 64990:64990 "$1/spool" "$1/log"
shift
exec "$@"
"""


def exim(door, mail, folder):
    """With BDAT, which it prefers."""
    if os.geteuid() != 0:
        raise Missing("Exim wants root")
    program = Cache.unpack("exim4-daemon-light") / "usr/sbin/exim4"
    home = open_folder()
    try:
        options = []
        if door.tls == "none":
            options.append("  hosts_avoid_tls = *")
        else:
            options += ["  hosts_require_tls = *", "  tls_verify_certificates = %s/ca.pem" % home]
            shutil.copy(door.certificate, home / "ca.pem")
        if door.tls == "implicit":
            options.append("  protocol = smtps")
        if door.user:
            options.append("  hosts_require_auth = *")
        authenticator = "" if not door.user else (
            "plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^%s^%s\n" % (
                door.user, door.password))
        config = home / "exim.conf"
        config.write_text(EXIM.format(folder=home, port=door.port, options="\n".join(options),
                                      authenticator=authenticator))
        for name in ("spool", "log"):
            (home / name).mkdir()
        config.chmod(0o644)
        need_mount_namespace()
        run(["unshare", "-m", "sh", "-c", EXIM_START, "sh", str(home), str(program), "-C",
             str(config), "-odf", "-oi", "-f", mail.sender, *mail.recipients], mail.text)
        log = (home / "log/mainlog").read_text()
        assert "Completed" in log, log
    finally:
        shutil.rmtree(home)


POSTFIX_MAIN = """\
maillog_file_permissions = 0644
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_tls_CAfile = {folder}/ca.pem
smtpd_relay_restrictions = permit_mynetworks, reject
"""

POSTFIX_MASTER = """\
127.0.0.1:{listen} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
smtp unix - - n - - smtp
scache unix - - n - 1 scache
"""


def postfix(door, mail, folder):
    program = need("postfix", "postfix")
    if os.geteuid() != 0:
        raise Missing("Postfix wants root")
    plugins = pathlib.Path("/usr/lib")
    if door.user and not list(plugins.glob("*/sasl2/libplain.so*")):
        raise Missing("its PLAIN is not installed (apt-get install libsasl2-modules)")
    home = open_folder()
    shutil.copy(door.certificate, home / "ca.pem")
    main = POSTFIX_MAIN + "relayhost = [localhost]:%d\n" % door.port
    main += "smtp_tls_security_level = %s\n" % ("none" if door.tls == "none" else "verify")
    if door.tls == "implicit":
        main += "smtp_tls_wrappermode = yes\n"
    if door.user:
        # A class of mechanisms that may be used in clear, too.
        main += ("smtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\n"
                 "smtp_sasl_mechanism_filter = plain\n"
                 "smtp_sasl_password_maps = static:%s:%s\n" % (door.user, door.password))
    listen = free_port()
    configure(home, main, POSTFIX_MASTER.format(listen=listen))
    try:
        run([program, "-c", str(home / "etc"), "start"])
        wait_for(lambda: answers(listen), "Postfix to listen", TIMEOUT)
        with smtplib.SMTP("127.0.0.1", listen, timeout=5) as client:
            assert client.sendmail(mail.sender, mail.recipients, mail.text) == {}
        log = home / "mail.log"
        wait_for(lambda: log.read_text().count("status=") >= len(mail.recipients),
                 "Postfix to hand it over", TIMEOUT)
        assert log.read_text().count("status=sent") == len(mail.recipients), log.read_text()
    except Exception:
        print((home / "mail.log").read_text())
        raise
    finally:
        subprocess.run([program, "-c", str(home / "etc"), "stop"], capture_output=True,
                       check=False, timeout=TIMEOUT)
        shutil.rmtree(home, ignore_errors=True)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except OSError:
        return False


CLIENTS = {
    "swaks": swaks,
    "smtplib": smtplib_client,
    "curl": curl,
    "msmtp": msmtp,
    "nodemailer": nodemailer,
    "s-nail": s_nail,
    "net-smtp": net_smtp,
    "postfix": postfix,
    "exim": exim,
    "opensmtpd": opensmtpd,
}
