#!/usr/bin/python3
"""
Mutation test of what decides who gets mail: small mistakes are put into the source one at a time,
and the unit tests must notice each of them.

    tests/mutate/mutate.py --build build [--jobs 2] [--sample 0.25] [--lines 30,47] [FILE...]

`build` is configured and made, test programs too. Nothing in it or in the source is changed. Tests
and mutants run under AddressSanitizer and LeakSanitizer, as they do in CI. Ends with a table and
the mutants that nobody noticed, but for those of which tests/mutate/SURVIVORS.md says why they may
live. Exit 1 when fewer than 95 % of the others of a file are noticed.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/property"))

JUDGING = ["test_verdict", "test_policy", "test_judge", "test_ruling", "test_reserved",
           "test_extent", "test_layer", "test_meanwhile", "oracle.py", "test_whitelist",
           "test_oracle"]
LISTING = ["test_listing", "test_listing_write"]
COPY = ["test_defang", "test_mailto", "test_outbound", "test_header_policy"]
# The tests that look at a file, the quick ones first; oracle.py asks the reference.
FILES = {
    "relay/filter/verdict.c": JUDGING, "relay/filter/layer.c": JUDGING,
    "relay/filter/layer_build.c": JUDGING,
    "relay/filter/whitelist.c": ["test_meanwhile", "test_extent", "test_verdict",
                                 "test_whitelist"],
    "relay/filter/pattern.c": ["test_pattern", "test_verdict", "test_lint", "test_rule_match",
                               "oracle.py", "test_listing"],
    "relay/filter/judge.c": ["test_judge", "test_ruling", "test_rule_decides", "test_rule_match"],
    "relay/filter/policy.c": ["test_policy", "test_judge", "test_ruling"],
    "relay/filter/reserved.c": ["test_reserved"],
    "relay/filter/extent.c": ["test_extent", "test_lint", "test_whitelist"],
    "relay/filter/lint.c": ["test_lint"],
    "relay/filter/rule.c": ["test_rule", "test_rule_decides", "test_rule_match",
                            "test_rule_publish", "test_ruling"],
    "relay/filter/rule_match.c": ["test_rule_match", "test_rule_decides", "test_rule_publish",
                                  "test_ruling"],
    "relay/filter/row_check.c": ["test_rule", "test_rule_publish", "test_fault"],
    "relay/filter/defang.c": COPY, "relay/filter/mailto.c": COPY, "relay/filter/outbound.c": COPY,
    "relay/filter/signature.c": COPY, "relay/filter/subject.c": ["test_subject", *COPY],
    "relay/filter/listing.c": [*LISTING, "test_listing_mailpit"],
    "relay/filter/listing_draft.c": [*LISTING, "test_listing_mailpit"],
    "relay/filter/listing_csv.c": LISTING, "relay/filter/listing_json.c": LISTING,
    "relay/filter/listing_text.c": LISTING, "relay/filter/listing_write.c": LISTING,
    "relay/filter/listing_maildev.c": ["test_listing_maildev"],
    "relay/filter/listing_mailpit.c": ["test_listing_mailpit"],
    "relay/filter/listing_regex.c": ["test_listing_mailpit", "test_listing_maildev"],
    "relay/filter/tokens.c": ["test_tokens"],
    "relay/filter/fault.c": ["test_fault"], "relay/filter/fault_set.c": ["test_fault"],
    "relay/filter/published.c": ["test_published", "test_fault"],
    "relay/filter/fate.c": ["test_fault"],
    "relay/filter/hits.c": ["test_hits"],
    "relay/filter/let_out.c": ["test_let_out", "test_ruling"],
    "relay/mail/address.c": ["test_address", "test_address_corpus", "test_policy", "oracle.py"],
    "relay/mail/address_list.c": ["test_address_list", "test_defang"],
}
FOLDERS = ["tests/unit/filter", "tests/unit/mail"]
HELPERS = ["tests/unit/mail/corpora.c", "tests/unit/filter/by_hand.c"]
# What the helpers stand in the place of.
WRAPS = re.findall(r"-Wl,--wrap=\w+", (TOP / "tests/unit/filter/Makefile.inc").read_text())
JUDGE = "tests/property/judge.c"
LIBRARIES = ["libfilter.a", "libmail.a", "libwire.a", "libqueue.a", "libschema.a", "libbase.a"]
PACKAGES = ["check", "sqlite3", "openssl", "libidn2", "yaml-0.1", "jansson", "libgsasl"]
SLACK = 4  # times what the tests of a file need without a mutant is enough
SANITIZER = ["-fsanitize=address", "-fno-omit-frame-pointer"]
SANITIZER_OPTIONS = "hard_rss_limit_mb=3000:allocator_may_return_null=1"
QUESTIONS = 6000  # of tests/property/oracle.py
BAR = 0.95

TOKEN = re.compile(r"""
    (?P<space>\s+|/\*.*?\*/|//[^\n]*|^\#(?:\\\n|[^\n])*)
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<number>0[xX][0-9a-fA-F]+[uUlL]*|[0-9]+[uUlL]*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<sign><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
""", re.X | re.S | re.M)

SIGNS = {"<": ["<=", ">"], "<=": ["<", ">"], ">": [">=", "<"], ">=": [">", "<"], "==": ["!="],
         "!=": ["=="], "&&": ["||"], "||": ["&&"], "++": ["--"], "--": ["++"], "+=": ["-="],
         "-=": ["+="], "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"], "&": ["|"],
         "|": ["&"], "^": ["&"], "<<": [">>"], ">>": ["<<"], "|=": ["&="], "&=": ["|="]}
BINARY_ONLY = {"+", "-", "*", "&"}
WORDS = {"true": "false", "false": "true"}
KEYWORDS = {"if", "for", "while", "switch", "return", "else", "do", "case", "default", "goto",
            "struct", "const", "static", "enum", "char", "int", "size_t", "bool", "uint32_t",
            "uint64_t", "int64_t", "void", "unsigned", "sizeof", "pthread_t", "sigset_t", "uint8_t"}


class Token:
    def __init__(self, kind, text, start):
        self.kind = kind
        self.text = text
        self.start = start
        self.end = start + len(text)
        self.depth = 0  # of braces


def tokens_of(source):
    tokens = []
    depth = 0
    for match in TOKEN.finditer(source):
        if match.lastgroup == "space":
            continue
        token = Token(match.lastgroup, match.group(), match.start())
        if token.text == "}":
            depth -= 1
        token.depth = depth
        if token.text == "{":
            depth += 1
        tokens.append(token)
    return tokens


def closing(tokens, at):
    """Of the bracket at `at`."""
    level = 0
    for i in range(at, len(tokens)):
        level += {"(": 1, ")": -1}.get(tokens[i].text, 0)
        if level == 0:
            return i
    raise ValueError


def functions_of(source, tokens):
    """(first, last) token of each body, and whether it returns bool."""
    for i, token in enumerate(tokens):
        if token.text == "{" and token.depth == 0 and i > 0 and tokens[i - 1].text == ")":
            last = next(k for k in range(i, len(tokens)) if tokens[k].text == "}" and
                        tokens[k].depth == 0)
            start = source.rfind("\n\n", 0, token.start)
            head = source[start:token.start]
            yield i, last, re.search(r"^(?:static )?(?:inline )?bool ", head, re.M) is not None


def statements_of(tokens, first, last):
    """(first, last) of each simple statement."""
    start = first + 1
    level = 0
    for i in range(first + 1, last):
        text = tokens[i].text
        level += {"(": 1, ")": -1}.get(text, 0)
        if level == 0 and text in (";", "{", "}", ":"):
            if text == ";" and i > start:
                yield start, i
            start = i + 1
        elif level == 0 and text == ")" and tokens[start].text in ("if", "for", "while", "switch"):
            start = i + 1
        elif text == "else":
            start = i + 1


def is_asserted(source, token):
    line = source[source.rfind("\n", 0, token.start) + 1:token.start]
    return re.search(r"\bassert\(|\bstatic_assert\(", line) is not None


def mutants_of(source):
    """(start, end, replacement, what it is) of each."""
    tokens = tokens_of(source)
    for first, last, is_bool in functions_of(source, tokens):
        for i in range(first + 1, last):
            token, before = tokens[i], tokens[i - 1]
            if is_asserted(source, token):
                continue
            if token.kind == "sign" and token.text in SIGNS:
                operand = before.kind in ("word", "number") and before.text not in KEYWORDS or \
                    before.text in (")", "]")
                if operand or token.text not in BINARY_ONLY:
                    for other in SIGNS[token.text]:
                        yield token.start, token.end, other, "%s -> %s" % (token.text, other)
            elif token.text == "!":
                yield token.start, token.end, "", "! removed"
            elif token.text in WORDS:
                yield token.start, token.end, WORDS[token.text], "%s -> %s" % (
                    token.text, WORDS[token.text])
            elif token.kind == "number":
                value = int(token.text.rstrip("uUlL"), 0)
                for other in {value + 1, 0} - {value}:
                    yield token.start, token.end, str(other), "%s -> %d" % (token.text, other)
            elif token.text == "if":
                end = closing(tokens, i + 1)
                inside = source[tokens[i + 1].end:tokens[end].start]
                for word, text in (("0", "0 && (%s)"), ("1", "1 || (%s)")):
                    yield tokens[i + 1].end, tokens[end].start, text % inside, "if (%s)" % word
        for start, end in statements_of(tokens, first, last):
            head = tokens[start]
            if is_asserted(source, tokens[end]) or is_asserted(source, head):
                continue
            text = source[head.start:tokens[end].end]
            if head.text in ("break", "continue", "*", "(", "++", "--") or (
                    head.kind == "word" and head.text not in KEYWORDS and
                    tokens[start + 1].kind == "sign"):
                # The lines stay: asserts hold their numbers.
                yield head.start, tokens[end].end, ";" + "\n" * text.count("\n"), \
                    "removed: %s" % " ".join(text.split())
            elif head.text == "return" and is_bool and end > start + 1 and \
                    tokens[start + 1].text not in WORDS:
                inside = source[tokens[start + 1].start:tokens[end].start]
                yield tokens[start + 1].start, tokens[end].start, "!(%s)" % inside, "return negated"


class Unlinked(Exception):
    pass


class Bench:
    """The tests, compiled once, and what is needed to put a mutant among them."""

    def __init__(self, build, work, paths):
        self.work = work
        self.libraries = [shutil.copy(build / l, work) for l in LIBRARIES]
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", *PACKAGES], check=True,
                               capture_output=True, text=True).stdout.split()
        self.cflags = ["-std=c11", "-pthread", "-O1", "-w", "-fno-strict-aliasing",
                       *SANITIZER, "-I%s" % TOP, "-I%s" % build] + [f for f in flags if f.startswith("-I")]
        self.libs = [f for f in flags if not f.startswith("-I")] + ["-pthread", "-lm", "-lrt",
                                                                    *WRAPS]
        names = sorted({n for p in paths for n in FILES[p]} - {"oracle.py"})
        self.objects = [self.compile(self.find(n), "-Dmain=main_%s" % n) for n in names]
        self.objects += [self.compile(TOP / JUDGE, "-Dmain=main_judge")]
        self.objects += [self.compile(TOP / h) for h in HELPERS]
        driver = work / "driver.c"
        driver.write_text(
            "#include <stdio.h>\n#include <string.h>\n" +
            "".join("int main_%s(void);\n" % n for n in names + ["judge"]) +
            "int main(int c, char **v) {\n"
            "setvbuf(stdout, NULL, _IOLBF, 0);\n"
            "for (int i = 1; i < c; i++) {\n" +
            "".join("if (strcmp(v[i], \"%s\") == 0) main_%s();\n" % (n, n)
                    for n in names + ["judge"]) +
            "fflush(stdout); }\nreturn 0; }\n")
        self.objects.append(self.compile(driver))
        self.questions = self.answers = b""
        if any("oracle.py" in FILES[p] for p in paths):
            self.make_questions()

    @staticmethod
    def find(name):
        return next(p for p in (TOP / f / (name + ".c") for f in FOLDERS) if p.exists())

    def compile(self, source, *more, out=None):
        out = out or self.work / (source.stem + ".o")
        # By its bare name: an object must not differ by where its source lies.
        subprocess.run(["gcc", *self.cflags, *more, "-c", source.name, "-o", out], check=True,
                       capture_output=True, cwd=source.parent)
        return out

    def link(self, extra, out):
        done = subprocess.run(["gcc", *SANITIZER, "-o", out, *self.objects, *extra,
                               *self.libraries, *self.libs],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unlinked(done.stderr)

    def make_questions(self):
        """What the oracle asked the real thing, and what it was told."""
        import oracle
        asked, told = [], []

        class Tape(oracle.Judge):
            def ask(self, frames, answers):
                got = super().ask(frames, answers)
                asked.append(b"".join(frames) + b"F")
                told.extend(got)
                return got

        program = self.work / "judge"
        self.link([], program)
        wrapper = self.work / "judge.sh"
        wrapper.write_text("#!/bin/sh\nexec %s judge\n" % program)
        wrapper.chmod(0o755)
        oracle.Judge, plain = Tape, oracle.Judge
        differences, _ = oracle.run(str(wrapper), QUESTIONS, 1, each=200)
        oracle.Judge = plain
        assert not differences, differences
        self.questions = b"".join(asked)
        self.answers = b"".join(line + b"\n" for line in told)


def spent():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Jury:
    """The tests that look at one file."""

    def __init__(self, bench, path):
        self.bench = bench
        self.tests = FILES[path]
        self.seconds = {test: 60 for test in self.tests}  # of processor time
        self.measure(path)

    def measure(self, path):
        program = self.bench.work / "program"
        self.bench.link([], program)
        for test in self.tests:
            before = spent()
            noticed = self.ask(program, test)
            self.seconds[test] = int(SLACK * (spent() - before)) + 1
            assert noticed is None, "%s fails without a mutant of %s" % (test, path)

    def limit(self, test):
        resource.setrlimit(resource.RLIMIT_CPU, (self.seconds[test], self.seconds[test] + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def is_noticed(self, program):
        """None: nobody did; else who."""
        return next((who for who in (self.ask(program, t) for t in self.tests) if who), None)

    def ask(self, program, test):
        environment = dict(os.environ, CK_FORK="no", CK_DEFAULT_TIMEOUT="0",
                           ASAN_OPTIONS=SANITIZER_OPTIONS)
        environment.setdefault("STAGEPOST_CORPORA", str(TOP.parent / "shared/corpora"))
        with tempfile.TemporaryFile() as questions:
            questions.write(self.bench.questions if test == "oracle.py" else b"")
            questions.seek(0)
            # One that waits for ever uses no processor time.
            try:
                done = subprocess.run(
                    [program, "judge" if test == "oracle.py" else test], stdin=questions,
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
                    timeout=10 * self.seconds[test], preexec_fn=lambda: self.limit(test),
                    check=False)
            except subprocess.TimeoutExpired:
                return "time"
        if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return "time"
        if done.returncode != 0:
            return "crash"
        if test == "oracle.py":
            return test if done.stdout != self.bench.answers else None
        failed = re.search(rb"^not ok \d+ - (\S+)", done.stdout, re.M)
        return failed.group(1).decode() if failed else None


def try_one(jury, path, source, original, number, mutant):
    bench = jury.bench
    start, end, text, _ = mutant
    with tempfile.TemporaryDirectory(dir=bench.work) as folder:
        folder = pathlib.Path(folder)
        changed = folder / pathlib.Path(path).name
        changed.write_text(source[:start] + text + source[end:])
        try:
            mutated = bench.compile(changed, out=folder / "mutant.o")
        except subprocess.CalledProcessError:
            return number, "does not compile"
        if mutated.read_bytes() == original:
            return number, "the same program"
        bench.link([mutated], folder / "program")
        return number, jury.is_noticed(folder / "program")


def try_file(bench, path, arguments):
    source = (TOP / path).read_text()
    folder = bench.work / "original"
    folder.mkdir(exist_ok=True)
    (folder / pathlib.Path(path).name).write_text(source)
    original = bench.compile(folder / pathlib.Path(path).name,
                             out=folder / "original.o").read_bytes()
    mutants = [m for m in mutants_of(source)
               if not arguments.lines or source.count("\n", 0, m[0]) + 1 in arguments.lines]
    if arguments.sample < 1:
        mutants = random.Random(1).sample(mutants, int(len(mutants) * arguments.sample))
    jury = Jury(bench, path)
    results = {}
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for number, result in pool.map(
                lambda pair: try_one(jury, path, source, original, *pair), enumerate(mutants)):
            results[number] = result
    survivors = [(source.count("\n", 0, mutants[n][0]) + 1, mutants[n][3])
                 for n, result in sorted(results.items()) if result is None]
    return list(results.values()), survivors


def explained():
    """(file, the line as it stands, what was done to it) of those that may live."""
    rows = (line.split(" | ") for line in
            (TOP / "tests/mutate/SURVIVORS.md").read_text().splitlines() if line.startswith("| "))
    return {(row[0][2:].strip(), row[1].strip().strip("`"), row[2].strip().strip("`"))
            for row in rows if len(row) >= 4}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--jobs", default=1, type=int)
    parser.add_argument("--sample", default=1.0, type=float)
    parser.add_argument("--lines", default=[], type=lambda t: [int(n) for n in t.split(",")],
                        help="of one FILE, those that are looked at again")
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    good = True
    lines = []
    with tempfile.TemporaryDirectory() as work:
        paths = arguments.files or list(FILES)
        bench = Bench(arguments.build.resolve(), pathlib.Path(work), paths)
        for path in paths:
            began = time.monotonic()
            results, survivors = try_file(bench, path, arguments)
            idle = [r for r in results if r in ("does not compile", "the same program")]
            tried = len(results) - len(idle)
            text = (TOP / path).read_text().splitlines()
            known = [s for s in survivors if (path, text[s[0] - 1].strip(), s[1]) in explained()]
            survivors = [s for s in survivors if s not in known]
            killed = tried - len(survivors) - len(known)
            share = killed / (tried - len(known)) if tried > len(known) else 1.0
            good = good and share >= BAR
            lines.append("| %s | %d | %d | %d | %d | %d | %d | %.1f %% |" % (
                path, len(results), len(idle), tried, killed, len(known), len(survivors),
                100 * share))
            print("%s: %d of %d noticed (%d by time), %d s" % (
                path, killed, tried, results.count("time"), time.monotonic() - began))
            for line, what in survivors:
                print("  %s:%d: %s" % (path, line, what))
            sys.stdout.flush()
    print("| file | mutants | no other program | tried | noticed | explained | survived | share |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
