#!/usr/bin/python3
"""
Which branches of relay/filter and relay/mail/address.c no unit test takes, by gcov.

    ../configure --enable-coverage CFLAGS="-O0 -g" && make check TESTS=    in an own folder, then
    tests/coverage/coverage.py FOLDER [FILE...]

Runs the unit tests of filter and mail there. A branch that is not taken must be named, with its
reason, in tests/coverage/EXPLAINED (file | the line as it stands | reason). Branches of asserts do
not count: they are for mistakes of our own. Exit 1 when one is missing, or named in vain.
"""

import json
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
AREAS = ["filter", "mail"]
MORE = ["relay/mail/address.c", "relay/mail/domain.c"]


def run_tests(folder):
    for old in folder.rglob("*.gcda"):
        old.unlink()
    environment = dict(os.environ)
    environment.setdefault("STAGEPOST_CORPORA", str(TOP.parent / "shared/corpora"))
    for area in AREAS:
        for program in sorted((folder / "tests/unit" / area).glob("test_*")):
            if program.suffix or not os.access(program, os.X_OK):
                continue
            done = subprocess.run([program], capture_output=True, env=environment, timeout=600,
                                  check=False)
            # A limit of time may be too short for such a build: it has run all the same.
            for line in done.stdout.decode("utf-8", "replace").splitlines():
                if line.startswith("not ok"):
                    print(line)
            assert done.returncode == 0, program


def lines_of(folder, path):
    """(line number, lines of its branches taken or not) by gcov, over all objects of the file."""
    data = next(iter(folder.glob("%s/*%s.gcda" % (
        pathlib.Path(path).parent, pathlib.Path(path).stem))), None)
    if data is None:
        return None
    done = subprocess.run(["gcov", "--json-format", "--stdout", "-b", data], check=True,
                          capture_output=True, cwd=folder)
    for file in json.loads(done.stdout)["files"]:
        if pathlib.Path(file["file"]).name == pathlib.Path(path).name:
            return file["lines"]
    return None


def explained():
    reasons = {}
    for line in (TOP / "tests/coverage/EXPLAINED").read_text().splitlines():
        if line and not line.startswith("#"):
            path, text, reason = (part.strip() for part in line.split(" | "))
            reasons[path, text] = reason
    return reasons


def look(folder, path, reasons, used):
    """(lines, lines run, branches, branches taken or explained, what is missing)"""
    source = (TOP / path).read_text().splitlines()
    lines = lines_of(folder, path)
    if lines is None:
        return 0, 0, 0, 0, ["no test runs it"]
    missing = []
    branches = taken = ran = 0
    for line in lines:
        text = source[line["line_number"] - 1].strip()
        ran += line["count"] > 0
        for branch in line["branches"]:
            if "assert(" in text or branch.get("throw"):
                continue
            branches += 1
            if branch["count"] > 0:
                taken += 1
            elif (path, text) in reasons:
                taken += 1
                used.add((path, text))
            else:
                missing.append("%d: %s" % (line["line_number"], text))
    return len(lines), ran, branches, taken, sorted(set(missing), key=lambda m: int(m.split(":")[0]))


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    paths = sys.argv[2:] or sorted(
        str(p.relative_to(TOP)) for p in (TOP / "relay/filter").glob("*.c")) + MORE
    run_tests(folder)
    reasons = explained()
    used = set()
    bad = 0
    print("| file | lines | run | branches | taken or explained |\n|---|---|---|---|---|")
    for path in paths:
        lines, ran, branches, taken, missing = look(folder, path, reasons, used)
        print("| %s | %d | %d | %d | %d |" % (path, lines, ran, branches, taken))
        for text in missing:
            print("  %s:%s" % (path, text))
        bad += len(missing)
    for path, text in sorted(set(reasons) - used):
        if path in paths:
            print("  explained in vain: %s | %s" % (path, text))
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
