"""The commands of the README: these, and no others, against a daemon like the demo's."""

import os
import pathlib
import re
import subprocess

import pytest

from daemon import BUILD, PATIENCE, wait_for

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


def block(heading):
    """What stands between the first fences below a heading."""
    text = README.read_text()
    found = re.search(r"^### %s\n\n```\n(.*?)^```$" % re.escape(heading), text, re.M | re.S)
    assert found, heading
    return found.group(1)


def steps(heading):
    """(what comes first, the commands): a command is a comment and what follows up to a gap."""
    first, *rest = block(heading).strip().split("\n\n")
    for step in rest:
        lines = step.splitlines()
        assert lines[0].startswith("# ") and not any(line.startswith("#") for line in lines[1:])
        # One command: every line but the last goes on.
        assert all(line.endswith(("\\", "|")) for line in lines[1:-1]), step
        assert not re.search(r";|&&|\|\|", " ".join(lines[1:])), step
    return first, rest


class Person:
    """Somebody in the folder that the demo was started in, who pastes."""

    def __init__(self, relay, folder, first):
        self.relay = relay
        self.folder = folder
        self.first = first
        folder.mkdir()
        (folder / "var").symlink_to(relay.data_dir)
        (folder / "build-quickstart").symlink_to(BUILD)
        # As of a person: nothing of ours.
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("STAGEPOST_")}
        self.env["STAGEPOST_SMTP"] = relay.smtp_address

    def paste(self, command):
        """Only the ports are another than in the text."""
        text = "%s\n%s\n" % (self.first, command)
        text = text.replace("127.0.0.1:8025", "127.0.0.1:%d" % self.relay.api_port)
        text = text.replace("127.0.0.1:2525", self.relay.smtp_address)
        done = subprocess.run(["sh", "-c", text], cwd=self.folder, env=self.env,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0 and done.stderr == b"", (text, done)
        return done.stdout.decode()


def recipients(relay):
    return {one["address"]: one for one in relay.get("/recipients?limit=100")["items"]}


@pytest.mark.parametrize("heading", ["With the tool", "With curl"])
def test_four_commands(relay, hop, tmp_path, heading):
    first, commands = steps(heading)
    assert len(commands) == 4
    person = Person(relay, tmp_path / "folder", first)
    allow, send, look, release = commands
    assert "alice@example.com" in person.paste(allow)
    person.paste(send)
    wait_for(lambda: recipients(relay)["alice@example.com"]["state"] == "delivered",
             "the mail to Alice")
    told = person.paste(look)
    assert "delivered" in told and "dropped" in told and "no entry allows it" in told
    assert [message.recipients for message in hop.messages] == [["alice@example.com"]]
    assert "bob@example.com" in person.paste(release)
    wait_for(lambda: recipients(relay)["bob@example.com"]["state"] == "delivered",
             "the mail to Bob")
    assert sorted(sum((message.recipients for message in hop.messages), [])) == [
        "alice@example.com", "bob@example.com"]


def test_every_command_that_is_named_is_there():
    """`stagepost …` anywhere in the text: the words are a command's, the options its own."""
    text = README.read_text()
    calls = re.findall(r"`stagepost ([a-z][^`]*)`", text.replace("\n", " "))
    assert len(calls) >= 8
    for call in calls:
        words = call.split()
        command = words[:1] if words[0] in ("check", "sink", "status", "sendmail") else words[:2]
        done = subprocess.run([BUILD / "stagepost", *command, "--help"], capture_output=True,
                              timeout=PATIENCE)
        assert done.returncode == 0, call
        for option in re.findall(r"(?<= )--[a-z-]+", call):
            assert option.encode() in done.stdout, (call, option)
