"""
A second opinion on which address may leave: INTERFACE 5, DESIGN 4.6 and RFC 5321 4.1.2 read once
more, slowly and plainly, sharing nothing with the relay. run() asks both about generated addresses
and tells where they differ.
"""

import collections
import random
import re
import struct
import subprocess

try:
    import idna
except ImportError:  # then no domain with anything but ASCII is asked about
    idna = None

NOW = 1000
SCOPES = ["", "s", "S", "shop"]
RESERVED = b"selftest.stagepost.invalid"

ATEXT = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-]"
DOT_STRING = re.compile(ATEXT + rb"+(?:\." + ATEXT + rb"+)*\Z")
QUOTED = re.compile(rb'"(?:[ !#-\[\]-~\x80-\xff]|\\[ -~])*"')
PLAIN_LOCAL = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._+-]*\Z")
LABEL = re.compile(rb"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z")
NUMBER = re.compile(rb"(?:[0-9]+|0[xX][0-9a-fA-F]*)\Z")
SNUM = re.compile(rb"[0-9]{1,3}\Z")
IPV6_GROUP = re.compile(rb"[0-9A-Fa-f]{1,4}\Z")
GENERAL = re.compile(rb"[A-Za-z0-9-]*[A-Za-z0-9]:[!-Z^-~]+\Z")
GLOB_LOCAL = re.compile(rb"[A-Za-z0-9*][A-Za-z0-9._+*-]*\Z")

Address = collections.namedtuple("Address", "form local domain print")
Entry = collections.namedtuple("Entry", "kind local domain below deny scope expires")


class Refused(Exception):
    pass


def refuse_unless(condition):
    if not condition:
        raise Refused


# --- domains ----------------------------------------------------------------------------------

_ascii_of = {}


def to_ascii(name):
    """UTS 46, non-transitional, then IDNA2008; None: not possible."""
    if name not in _ascii_of:
        try:
            _ascii_of[name] = idna.encode(name.decode(), uts46=True, transitional=False)
        except (idna.IDNAError, UnicodeError):
            _ascii_of[name] = None
    return _ascii_of[name]


def is_true_ace(label):
    """An A-label, and not something that only begins like one (RFC 5890 2.3.2.1)."""
    return to_ascii(label.lower()) == label.lower()


def parse_domain(text):
    """(as it is printed, its labels)"""
    refuse_unless(0 < len(text) <= 255)
    if max(text) >= 0x80:
        text = to_ascii(text)
        refuse_unless(text is not None)
    labels = text.split(b".")
    refuse_unless(len(text) <= 253)
    for label in labels:
        refuse_unless(LABEL.match(label) and len(label) <= 63)
    return text, labels


def is_ipv4(text):
    parts = text.split(b".")
    return len(parts) == 4 and all(SNUM.match(p) and int(p) <= 255 for p in parts)


def is_ipv6(text):
    head, gap, tail = text.partition(b"::")
    if gap and b"::" in tail:
        return False
    groups = (head.split(b":") if head else []) + (tail.split(b":") if tail else [])
    if not gap:
        groups = text.split(b":")
    count = len(groups)
    if groups and b"." in groups[-1]:
        if not is_ipv4(groups.pop()):
            return False
        # An IPv4 end stands behind a colon, so never in front of the gap.
        if gap and not tail:
            return False
        count += 1
    if not all(IPV6_GROUP.match(g) for g in groups):
        return False
    return count <= 6 if gap else count == 8


def is_literal(text):
    inside = text[1:-1]
    if not (text.startswith(b"[") and text.endswith(b"]") and len(text) <= 255):
        return False
    if inside[:5].lower() == b"ipv6:":
        return is_ipv6(inside[5:])
    if b":" in inside:
        return GENERAL.match(inside) is not None
    return is_ipv4(inside)


# --- addresses --------------------------------------------------------------------------------


def parse_local(text):
    """(as it is printed, what is behind it, whether it is quoted)"""
    if text.startswith(b'"'):
        match = QUOTED.match(text)
        refuse_unless(match)
        quoted = match.group()
        refuse_unless(len(quoted) <= 64)
        return without_needless_pairs(quoted), text[match.end():], True
    local, at, rest = text.partition(b"@")
    refuse_unless(DOT_STRING.match(local) and len(local) <= 64)
    return local, at + rest, False


def without_needless_pairs(quoted):
    """A backslash is only needed before the quote and itself."""
    out = bytearray()
    i = 0
    while i < len(quoted):
        if quoted[i:i + 1] == b"\\":
            i += 1
            if quoted[i:i + 1] in (b'"', b"\\"):
                out += b"\\"
        out += quoted[i:i + 1]
        i += 1
    return bytes(out)


def form_of(local, labels, odd):
    if odd or NUMBER.match(labels[-1]):
        return "U"
    false_ace = any(label[:4].lower() == b"xn--" and not is_true_ace(label) for label in labels)
    if len(labels) < 2 or false_ace or not PLAIN_LOCAL.match(local):
        return "L"
    return "P"


def parse_mailbox(text, odd=False):
    local, rest, quoted = parse_local(text)
    if max(local) >= 0x80:
        odd = True
        try:
            local.decode()
        except UnicodeDecodeError as why:
            raise Refused from why
    refuse_unless(rest.startswith(b"@"))
    domain = rest[1:]
    if domain.startswith(b"["):
        refuse_unless(is_literal(domain))
        form = "U"
    else:
        domain, labels = parse_domain(domain)
        form = form_of(local, labels, odd or quoted)
    printed = local + b"@" + domain
    refuse_unless(len(printed) <= 254)
    return Address(form, local.lower(), domain.lower(), printed)


def parse_path(text):
    """A forward-path; None: it is none."""
    try:
        refuse_unless(2 <= len(text) <= 256 and text[:1] == b"<" and text[-1:] == b">")
        inside = text[1:-1]
        if inside.lower() == b"postmaster":
            return Address("M", inside.lower(), b"", inside)
        routed = inside.startswith(b"@")
        if routed:
            route, colon, inside = inside.partition(b":")
            refuse_unless(colon)
            for host in route.split(b","):
                refuse_unless(host.startswith(b"@"))
                parse_domain(host[1:])
        return parse_mailbox(inside, routed)
    except Refused:
        return None


# --- patterns and verdicts ----------------------------------------------------------------------


def pattern_domain(text):
    below = text[:1] == b"." or text[:2] == b"*."
    name = text[2:] if text[:2] == b"*." else text[1:] if below else text
    refuse_unless(b"*" not in name)
    name, labels = parse_domain(name)
    refuse_unless(not NUMBER.match(labels[-1]))
    refuse_unless(all(l[:4].lower() != b"xn--" or is_true_ace(l) for l in labels))
    refuse_unless(below or len(labels) > 1)
    return name.lower(), below


def is_reserved(domain):
    return domain == RESERVED or domain.endswith(b"." + RESERVED)


def parse_pattern(text):
    """(kind, local, domain, below, canonical form); None: it is no pattern."""
    try:
        parsed = read_pattern(text)
        refuse_unless(not is_reserved(parsed[2]))
        return parsed
    except Refused:
        return None


def read_pattern(text):
    if text in (b"*", b"*@*"):
        return "all", b"", b"", False, b"*"
    local, at, domain = text.rpartition(b"@")
    if not at:
        domain = text
    dot = b"."
    if at and local and (b"*" in local or domain == b"*" or domain[:1] in (b".", b"*")):
        refuse_unless(len(local) <= 64 and GLOB_LOCAL.match(local))
        refuse_unless(not re.search(rb"^\.|\.\Z|\.\.", local) and domain != b"*")
        domain, below = pattern_domain(domain)
        local = re.sub(rb"\*+", b"*", local).lower()
        shown = (dot if below else b"") + domain
        if local == b"*":
            return "below" if below else "domain", b"", domain, below, shown
        return "glob", local, domain, below, local + b"@" + shown
    if at and local:
        address = parse_mailbox(text)
        refuse_unless(address.form in "PL")
        return "exact", address.local, address.domain, False, address.local + b"@" + address.domain
    domain, below = pattern_domain(domain)
    return "below" if below else "domain", b"", domain, below, (dot if below else b"") + domain


def glob_fits(glob, text):
    return re.match(b".*".join(re.escape(piece) for piece in glob.split(b"*")) + rb"\Z", text,
                    re.DOTALL) is not None


def covers(entry, address):
    if entry.kind == "all":
        return True
    if entry.below:
        if not address.domain.endswith(b"." + entry.domain):
            return False
    elif address.domain != entry.domain:
        return False
    if entry.kind == "exact":
        return address.local == entry.local
    return entry.kind != "glob" or glob_fits(entry.local, address.local)


def verdict(entries, address, scope):
    if address.form not in "PL":
        return "u"
    if is_reserved(address.domain):
        return "r"
    if not entries:
        return "e"
    near = [e for e in entries if covers(e, address)]
    mine = [e for e in near if e.scope in ("", scope)]
    live = [e for e in mine if e.expires == 0 or e.expires > NOW]
    if any(e.deny for e in live):
        return "d"
    fit = [e for e in mine if not e.deny and (e.kind == "exact" or address.form == "P")]
    if any(e in live for e in fit):
        return "y"
    if fit:
        return "x"
    return "u" if any(not e.deny for e in live) else "n"


# --- questions ------------------------------------------------------------------------------------

LOCALS = [b"a", b"b", b"ab", b"A", b"aB", b"a.b", b"a+b", b"qa-1", b"qa-", b"x_", b"0", b"aa"]
NASTY = [b"%", b"!", b"/", b"=", b"'", b"*", b"#", b"{", b"|", b"~", b"^", b"`", b"$", b"&", b"?",
         b"-", b".", b"+", b"_", b"", b" ", b"\t", b"\r\n", b"\0", b"\x7f", b"\x80", "é".encode(),
         b"\xc3", '"'.encode(), b"\\", b"(", b")", b"<", b">", b",", b";", b":", b"@", b"..",
         b"a%b", b"a!b", b"[", b"]", "＠".encode(), "ａ".encode(), b"\xe2\x80\xa8", b"x" * 30]
QUOTES = [b'"a"', b'"a b"', b'"\\"a"', b'"a\\b"', b'"a@b"', b'"\\\\"', b'""', b'"a\r\n"', b'"a',
          b'"a"b', b'"a\\', b'"a\x7f"', '"é"'.encode(), '"\\é"'.encode(), b'"' + b"q" * 62 + b'"',
          b'"' + b"q" * 63 + b'"', b'"\\q' + b"q" * 60 + b'"']
LABELS = [b"a", b"b", b"ab", b"a-b", b"test", b"b0", b"B", b"com", b"b", b"test"]
ODD_LABELS = [b"", b"-a", b"a-", b"a_b", b"1", b"0x1f", b"0X", b"0x1g", b"12", b"*", b"a b", b"a%b",
              b"xn--", b"xn--a", b"xn--bcher-kva", b"XN--BCHER-KVA", b"xn--ls8h", b"xn--zca",
              b"xn--80ak6aa92e", b"x" * 63, b"x" * 64, b"\0", b"a\r\nb", b"a>", b"(c)", b"a@b"]
# Without CONTEXTO characters (a·b): in wrong places a look-up need not refuse them (RFC 5891 5.4),
# and the relay does not where idna does.
WORLD = [text.encode() for text in (
    "bücher", "BÜCHER", "straße", "faß", "中文", "ｅｘａｍｐｌｅ", "a。b", "e\u0301", "a\u200db",
    "ex\u00adample", "💩", "ü-", "-ü", "ﬁ", "Ω", "ς", "x\u0300", "\u0300a", "K",
    "ﷺ", "…", "ü" * 40)] + [b"\xc3", b"\xff"]
WHOLE = [b"[127.0.0.1]", b"[IPv6:::1]", b"[ipv6:1:2:3:4:5:6:7:8]", b"[IPv6:1::2::3]", b"[x]", b"[]",
         b"[IPv6:1:2:3:4:5:6:1.2.3.4]", b"[IPv6:::1.2.3.4]", b"[IPv6:1.2.3.4]", b"[x:y]", b"[256.1.1.1]",
         b"[IPv6:1:2:3:4:5:6::7]", b"[IPv6:1:]", b"[IPv6::1]", b"[01.2.3.4]", b"[-:y]", b"[x-:y]",
         b"[127.0.0.1", b"127.0.0.1", b"localhost", RESERVED, b"a." + RESERVED, b"SelfTest." + RESERVED[9:],
         b"x" + RESERVED, b"stagepost.invalid", b".".join([b"l" * 49] * 5), b".".join([b"l" * 50] * 5),
         b"b.test.", b".b.test", b"b..test"]
BEFORE = [b"<@r.test:", b"<@r.test,@q.test:", b"<@:", b"<@r.test", b"<@[1.2.3.4]:", b"<<", b"", b" <",
          b"<a@b.test>,<", b"<x ", b"<a@b.test ", b"<@1:", b"<@r_.test:"]
BEHIND = [b">>", b"", b"> ", b"> NOTIFY=NEVER", b">\r\nRCPT TO:<x@y.test>", b">\0", b"\r\n>", b"\n>",
          b" >", b",b@b.test>", b".>", b"\0>", b"@b.test>"]


class Maker:
    """Short pieces, so that entries and addresses meet, nest and nearly match all the time."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.world = WORLD if idna else []
        self.odd = ODD_LABELS if idna else [l for l in ODD_LABELS if l[:4].lower() != b"xn--"]

    def local(self):
        draw = self.random.random
        pick = self.random.choice
        text = pick(LOCALS)
        if draw() < 0.5:
            text += pick(LOCALS)
        if draw() < 0.3:
            at = int(draw() * (len(text) + 1))
            text = text[:at] + pick(NASTY) + text[at:]
        elif draw() < 0.1:
            text = pick(QUOTES)
        elif draw() < 0.02:
            text = pick([b"x" * 64, b"x" * 65, b"postmaster", "é".encode() * 32, "é".encode() * 33])
        return text

    def domain(self):
        draw = self.random.random
        pick = self.random.choice
        chance = draw()
        if chance < 0.08:
            return pick(WHOLE)
        labels = [pick(LABELS) for _ in range(1 + int(draw() * 3))]
        if chance < 0.25:
            labels[int(draw() * len(labels))] = pick(self.odd)
        elif chance < 0.35 and self.world:
            labels[int(draw() * len(labels))] = pick(self.world)
        return b".".join(labels)

    def path(self):
        draw = self.random.random
        if draw() < 0.004:
            return self.random.choice([b"<>", b"<postmaster>", b"<PostMaster>", b"<postmaster>x",
                                       b"<a>", b"<@>", b"<a@>", b"<@b.test>", b""])
        before = b"<" if draw() < 0.95 else self.random.choice(BEFORE)
        behind = b">" if draw() < 0.95 else self.random.choice(BEHIND)
        return before + self.local() + b"@" + self.domain() + behind

    def near(self, entry):
        """A path that the entry covers, or nearly does."""
        draw = self.random.random
        local = entry.local.replace(b"*", self.random.choice([b"", b"a", b"+", b"x_"])) or self.local()
        domain = entry.domain or self.domain()
        if draw() < (0.8 if entry.below else 0.1):
            domain = self.random.choice([b"a.", b"b.a.", b"A-b.", b"-.", b".", b"ab"]) + domain
        chance = draw()
        if chance < 0.3:
            local, domain = local.swapcase(), domain.swapcase()
        elif chance < 0.4:
            local += self.random.choice(LOCALS + NASTY)
        elif chance < 0.5:
            # An A-label with another end is one that Unicode's next version may know.
            more = [b".", b".a", b" ", b"\0"] + ([] if b"xn--" in domain.lower() else [b"a"])
            domain += self.random.choice(more)
        elif chance < 0.55:
            domain = domain[1:]
        elif chance < 0.6:
            local = b'"' + local + b'"'
        return b"<" + local + b"@" + domain + b">"

    def pattern(self):
        draw = self.random.random
        shape = draw()
        if shape < 0.01:
            return self.random.choice([b"*", b"*", b"**", b"*@*", b"a@*", b"", b"@", b"*.*", b".", b"*."])
        domain = self.domain()
        if shape < 0.35:
            return self.local() + b"@" + domain
        if shape < 0.5:
            return self.random.choice([b"", b"@"]) + domain
        if shape < 0.65:
            return self.random.choice([b".", b"*.", b"@.", b"@*.", b"*@", b"*@."]) + domain
        local = self.local()
        at = int(draw() * (len(local) + 1))
        return local[:at] + self.random.choice([b"*", b"*", b"**"]) + local[at:] + b"@" + \
            self.random.choice([b"", b".", b"*."]) + domain


class Judge:
    """The relay's side of the pipe."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, frames, answers):
        self.process.stdin.write(b"".join(frames) + b"F")
        self.process.stdin.flush()
        return [self.process.stdout.readline()[:-1] for _ in range(answers)]

    def close(self):
        self.process.stdin.close()
        return self.process.wait(60)


def make_list(maker, judge, differences):
    rows = []
    for _ in range(maker.random.randrange(14)):
        rows.append((maker.pattern(), maker.random.random() < 0.2,
                     maker.random.choice([0, 0, 0, 1, 2, 3]),
                     maker.random.choice([0, 0, 0, NOW - 1, NOW, NOW + 1])))
    frames = [b"R"]
    frames += [struct.pack("<cBBIH", b"E", ord("-" if deny else "+"), scope, expires, len(text)) + text
               for text, deny, scope, expires in rows]
    entries = []
    for row, answer in zip(rows, judge.ask(frames + [b"L"], len(rows))):
        parsed = parse_pattern(row[0])
        want = parsed[4] if parsed else b"-"
        if answer != want:
            differences.append(("pattern", row[0], "relay", answer, "oracle", want))
        elif parsed:
            entries.append(Entry(*parsed[:4], row[1], SCOPES[row[2]], row[3]))
    return entries


def run(program, count, seed, each=1000):
    """(differences, how often each answer was given)"""
    maker = Maker(seed)
    judge = Judge(program)
    tally = collections.Counter()
    differences = []
    while count > 0 and len(differences) < 20:
        entries = make_list(maker, judge, differences)
        asked = [(maker.random.randrange(4), maker.near(maker.random.choice(entries))
                  if entries and maker.random.random() < 0.3 else maker.path())
                 for _ in range(min(each, count))]
        frames = [struct.pack("<cBH", b"Q", scope, len(path)) + path for scope, path in asked]
        for (scope, path), answer in zip(asked, judge.ask(frames, len(asked))):
            address = parse_path(path)
            want = b"-"
            if address:
                want = (address.form + verdict(entries, address, SCOPES[scope])).encode() + address.print
            tally[want[:2].decode()] += 1
            if answer != want:
                differences.append((path, SCOPES[scope], "relay", answer, "oracle", want, entries))
        count -= len(asked)
    assert judge.close() == 0
    return differences, tally
