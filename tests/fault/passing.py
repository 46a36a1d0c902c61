"""
Four MTAs that take `nexthop.test` for their own domain and pass everything on to a next hop of the
tests, which shows whom a recipient was to them. Everything about addresses is as it comes (CASES
2.E was measured so): percent and bang rewriting, quotes taken off, domains put behind bare names.
"""

import subprocess

from clients import Cache, Missing, need
from mta import Exim, Mta, Opensmtpd, Postfix

OWN = "nexthop.test"


class Passing:
    """`back`: the port that everything is passed on to."""

    def __init__(self, certificate, key, back):
        super().__init__(certificate, key)
        self.back = back

    def values(self):
        return {**super().values(), "own": OWN, "back": self.back}


class PassingPostfix(Passing, Postfix):
    main = """\
myhostname = {own}
mydestination = {own}
local_recipient_maps =
local_transport = smtp:[127.0.0.1]:{back}
relayhost = [127.0.0.1]:{back}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_cert_file = {folder}/server.crt
smtpd_tls_key_file = {folder}/server.key
smtpd_hard_error_limit = 1000
in_flow_delay = 0
"""
    master = """\
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
smtp unix - - n - - smtp
scache unix - - n - 1 scache
"""


class PassingExim(Passing, Exim):
    config = """\
primary_hostname = {own}
qualify_domain = {own}
domainlist local_domains = {own}
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
keep_environment =
never_users =
deliver_drop_privilege
local_interfaces = <; 127.0.0.1.{smtp} ; 127.0.0.1.{smtps}
tls_on_connect_ports = {smtps}
tls_certificate = {folder}/server.crt
tls_privatekey = {folder}/server.key
acl_smtp_rcpt = accept
acl_smtp_data = accept
host_lookup =
smtp_accept_queue_per_connection = 0
begin routers
all:
  driver = manualroute
  transport = on
  route_list = * 127.0.0.1 byname
  self = send
begin transports
on:
  driver = smtp
  port = {back}
  allow_localhost
  hosts_avoid_tls = *
begin retry
* * F,1s,1s
"""


class PassingOpensmtpd(Passing, Opensmtpd):
    config = """\
listen on 127.0.0.1 port {port} hostname {own}
action "on" relay host smtp+notls://127.0.0.1:{back}
match from any for domain "{own}" action "on"
match from any for any action "on"
"""


class Sendmail(Passing, Mta):
    """Without its maps of /etc/mail. Names are looked up in /etc/hosts only."""

    # It waits a minute for a full name of the machine.
    preparation = """\
printf '127.0.0.1 localhost\\n127.0.0.1 nexthop.test %s\\n' "$(hostname)" >"$1/hosts"
mount --bind "$1/hosts" /etc/hosts
shift"""
    macros = """\
divert(0)
OSTYPE(`linux')
define(`confDOMAIN_NAME', `{own}')
define(`confPID_FILE', `{folder}/pid')
define(`confSERVICE_SWITCH_FILE', `{folder}/service')
define(`confTO_IDENT', `0')
define(`QUEUE_DIR', `{folder}/spool')
define(`STATUS_FILE', `{folder}/status')
define(`HELP_FILE', `{folder}/help')
define(`ALIAS_FILE', `')
undefine(`confCW_FILE')
FEATURE(`accept_unresolvable_domains')
define(`RELAY_MAILER_ARGS', `TCP $h {back}')
define(`SMART_HOST', `relay:[127.0.0.1]')
define(`MAIL_HUB', `relay:[127.0.0.1]')
FEATURE(`no_default_msa')
DAEMON_OPTIONS(`Name=MTA, Addr=127.0.0.1, Port={smtp}')
MAILER(`local')
MAILER(`smtp')
LOCAL_CONFIG
Cw{own}
"""

    def start(self):
        program = Cache.unpack("sendmail-bin") / "usr/libexec/sendmail/sendmail"
        loads = subprocess.run(["ldd", str(program)], check=True, capture_output=True, timeout=60)
        if b"not found" in loads.stdout:
            raise Missing("libraries of Sendmail are not installed")
        config = self.configure(Cache.unpack("sendmail-cf") / "usr/share/sendmail/cf")
        self.ports = {"smtp": self.ports["smtp"]}
        self.run(str(program), "-bD", "-C", str(config))
        return self.wait()

    def configure(self, folder):
        (self.folder / "spool").mkdir(mode=0o700)
        (self.folder / "service").write_text("hosts files\n")
        source = self.folder / "sendmail.mc"
        source.write_text(self.macros.format(**self.values()))
        done = subprocess.run(
            [need("m4", "m4"), "-D_CF_DIR_=%s/" % folder, str(folder / "m4/cf.m4"), str(source)],
            check=True, capture_output=True, timeout=60)
        config = self.folder / "sendmail.cf"
        config.write_bytes(done.stdout)
        config.chmod(0o644)
        return config


PASSING = {"postfix": PassingPostfix, "exim": PassingExim, "opensmtpd": PassingOpensmtpd,
           "sendmail": Sendmail}
