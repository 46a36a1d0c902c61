"""/metrics as Prometheus reads it: parsed strictly, and held to its rules of style."""

import math
import re

NAME = re.compile(r"[a-z][a-z0-9_]*")
HEAD = re.compile(r"# (HELP|TYPE) (\S+) (.+)")
ROW = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
# What promtool asks for: base units, no types or abbreviations in names.
UNITS = ("milliseconds", "microseconds", "minutes", "hours", "days", "kilobytes", "megabytes",
         "bits", "percent")
KINDS = ("counter", "gauge", "histogram", "summary")
SHORT = ("ms", "us", "sec", "secs", "mb", "kb", "gb", "b", "kib", "mib")
# The process has names of its own in all programs.
PREFIXES = ("stagepost_", "process_")


class Family:
    def __init__(self, name, text):
        self.name = name
        self.help = text
        self.kind = None
        self.rows = {}  # (name, labels as a sorted tuple of pairs) to a number

    def value(self, **labels):
        return self.rows[(self.name, tuple(sorted(labels.items())))]

    def part(self, suffix, **labels):
        return self.rows[(self.name + suffix, tuple(sorted(labels.items())))]

    @property
    def labels(self):
        """The names of its labels, but for a bucket's bound."""
        return {name for _, labels in self.rows for name, _ in labels} - {"le"}


def parse_labels(text):
    labels = {}
    at = 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, "labels: %r" % text[at:]
        assert match[1] not in labels, text
        labels[match[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2])
        at = match.end()
    return tuple(sorted(labels.items()))


def belongs(family, name):
    if family.kind == "histogram":
        return name in (family.name + "_bucket", family.name + "_sum", family.name + "_count")
    return name == family.name


def parse(text):
    """Name to Family. Every line is right, and in the place it must be in."""
    assert text.endswith("\n")
    families = {}
    family = None
    for line in text[:-1].split("\n"):
        head = HEAD.fullmatch(line)
        if head and head[1] == "HELP":
            assert family is None or family.kind, "no TYPE: " + family.name
            assert head[2] not in families, "twice: " + line
            family = families[head[2]] = Family(head[2], head[3])
        elif head:
            assert head[2] == family.name and family.kind is None, line
            assert head[3] in KINDS, line
            family.kind = head[3]
        else:
            row = ROW.fullmatch(line)
            assert row, "no row: %r" % line
            assert belongs(family, row[1]), "%s below %s" % (line, family.name)
            key = (row[1], parse_labels(row[2] or ""))
            assert key not in family.rows, "twice: " + line
            family.rows[key] = float(row[3])
            assert math.isfinite(family.rows[key]), line
    return families


def lint_name(family):
    name = family.name
    words = name.split("_")
    assert NAME.fullmatch(name) and name.startswith(PREFIXES), name
    assert (family.kind == "counter") == name.endswith("_total"), name
    assert not name.endswith(("_count", "_sum", "_bucket", "_info_total")), name
    assert not set(words) & set(UNITS), name
    assert not set(words) & set(SHORT), name
    assert not set(words[1:]) & set(KINDS), name
    unit = words[-2] if family.kind == "counter" else words[-1]
    if "seconds" in words or "bytes" in words:
        assert unit in ("seconds", "bytes"), name
    assert family.kind != "histogram" or unit == "seconds", name
    assert family.help.endswith(".") and family.help[0].isupper() or family.help[0].isdigit(), (
        name, family.help)


def lint_histogram(family):
    """For each set of labels: rising buckets, the last of them for all, and the count the same."""
    series = {}
    for (name, labels), value in family.rows.items():
        rest = tuple(pair for pair in labels if pair[0] != "le")
        series.setdefault(rest, {})[(name, dict(labels).get("le"))] = value
    for rows in series.values():
        buckets = [(float(le.replace("+Inf", "inf")), value)
                   for (name, le), value in rows.items() if name.endswith("_bucket")]
        bounds = [bound for bound, _ in buckets]
        counts = [count for _, count in buckets]
        assert bounds == sorted(set(bounds)) and bounds[-1] == math.inf, family.name
        assert counts == sorted(counts), family.name
        assert rows[(family.name + "_count", None)] == counts[-1], family.name
        assert rows[(family.name + "_sum", None)] >= 0, family.name
        assert counts[-1] > 0 or rows[(family.name + "_sum", None)] == 0, family.name


def lint(families):
    for family in families.values():
        lint_name(family)
        if family.kind == "histogram":
            lint_histogram(family)
        if family.kind != "gauge":
            assert all(value >= 0 for value in family.rows.values()), family.name
        names = {tuple(name for name, _ in labels if name != "le")
                 for row, labels in family.rows}
        assert len(names) <= 1, "%s: not the same labels everywhere: %s" % (family.name, names)


def scrape(daemon):
    answer = daemon.request("GET", "/metrics")
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(answer.body.decode())
