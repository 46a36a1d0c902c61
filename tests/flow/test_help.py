"""--help of every command: what it must have, and that the man pages say the same."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from daemon import PATIENCE, STAGEPOST

MAN = Path(__file__).resolve().parents[2] / "cli"


def help_of(*command):
    done = subprocess.run([STAGEPOST, *command, "--help"], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0 and done.stderr == b"", (command, done)
    return done.stdout.decode()


def table_of(text):
    """Option: what its value is called, of the lines with options in a help text."""
    return dict(re.findall(r"^  (-[^ \n]+)(?: ([^ \n]+))?(?=  |$)", text, re.M))


def commands():
    return [line[2:19].strip() for line in help_of().splitlines()
            if line.startswith("  ") and line[2] != "-" and line[2] != " "]


COMMANDS = commands()
COMMON = table_of(help_of().split("Options of every command:")[1])


def parts_of(command):
    """The usage line, and the options, of --help."""
    text = help_of(*command.split())
    usage = " ".join(re.match(r"Usage: (.*\n(?: {8}.*\n)*)", text).group(1).split())
    own = text.split("\nOptions of every command")[0].split("\nExamples:")[0]
    return text, usage, table_of(own)


def test_there_are_commands():
    assert len(COMMANDS) >= 40 and "queue list" in COMMANDS and "sink" in COMMANDS
    assert set(COMMON) >= {"--json", "--jsonl", "--color", "--quiet", "--data-dir"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_whole(command):
    text, usage, options = parts_of(command)
    assert usage.startswith("stagepost " + command)
    assert all(len(line) <= 80 for line in text.splitlines()), text
    # The usage line and the list below it: the same options with the same values.
    for name, value in options.items():
        assert f"{name} {value}".strip() in usage, (command, name)
    for name in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", usage):
        assert name in options, (command, name)
    summary = text.split("\n\n")[1]
    assert re.fullmatch(r"[A-Z][^\n]+\.", summary), summary
    examples = text.split("\nExamples:\n")[1].splitlines()
    assert len(examples) == 2 and examples[0] != examples[1]
    for example in examples:
        words = shlex.split(example)
        assert words[0] == "stagepost" and words[1:1 + len(command.split())] == command.split()
        for word in words:
            if word.startswith("--"):
                assert word in options or word in COMMON, example


# --- the man pages -----------------------------------------------------------------


def named(heading):
    """The commands that a heading is about: *queue retry*|*hold* names two."""
    names = []
    for line in heading:
        found = re.match(r"\*([a-z]+(?: [a-z]+)?)\*((?:\|\*[a-z]+\*)*)", line)
        assert found, line
        names.append(found.group(1))
        for other in re.findall(r"\*([a-z]+)\*", found.group(2)):
            names.append(found.group(1).split()[0] + " " + other)
    return set(names)


def entries():
    """Of stagepost(1): command, and the text of all that is said of it."""
    page = (MAN / "stagepost.1.scd").read_text()
    section = page.split("\n# COMMANDS\n")[1].split("\n# ")[0]
    said = {}
    heading, about, is_body = [], set(), False
    for line in section.splitlines():
        if line.startswith("*"):
            if is_body:
                heading, is_body = [], False
            heading.append(line)
            about = named(heading)
            text = line
        else:
            is_body = is_body or line.startswith("\t")
            text = line
        for command in about:
            said[command] = said.get(command, "") + text + "\n"
    return said


def options_in(text):
    """Option: what its value is called, of text with *--option* _VALUE_."""
    found = {}
    for name, value in re.findall(r"\*(--?[a-zA-Z][a-z-]*)\*(?:\s+_([^_\s]+)_)?", text):
        if value or name not in found:
            assert found.get(name, "") in ("", value), (name, value, found[name])
            found[name] = value
    return found


def test_the_man_page_has_every_command_and_no_other():
    assert sorted(entries()) == sorted(COMMANDS)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "sendmail"])
def test_the_man_page_has_the_same_options(command):
    _, _, options = parts_of(command)
    said = {name: value for name, value in options_in(entries()[command]).items()
            if name not in COMMON}
    assert said == options


def test_the_man_page_has_the_common_options():
    page = (MAN / "stagepost.1.scd").read_text()
    section = page.split("\n# COMMON OPTIONS\n")[1].split("\n# ")[0]
    said = options_in("\n".join(line for line in section.splitlines() if line.startswith("*")))
    assert said.pop("--help") == ""
    assert said == COMMON


def test_the_page_of_sendmail_has_the_same_options():
    _, _, options = parts_of("sendmail")
    page = (MAN / "stagepost-sendmail.1.scd").read_text()
    section = page.split("\n# OPTIONS\n")[1].split("\n# ")[0]
    said = {}
    for line in section.splitlines():
        if line.startswith("*"):
            said.update(options_in(line))
    assert {name: said.get(name) for name in options} == options
    # Those that change nothing are in the man page only.
    assert set(said) - set(options) <= set("-I -A -B -G -L -O -U -X -c -d -e -h -m -n -o -p -x -r "
                                           "-oi".split())
