"""stagepost user: the users file, and nobody who sees a password."""

import os
import pty
import re
import select
import stat
import subprocess
import time

import pytest
from daemon import PATIENCE, STAGEPOST


@pytest.fixture
def user(tmp_path):
    """user("add", "me", secret="x"): the finished process; user.file is the file."""
    def run(*arguments, secret="", want=0):
        done = subprocess.run([STAGEPOST, "user", *arguments, "--file", run.file],
                              input=secret.encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
        assert b"Sanitizer" not in done.stderr, done.stderr
        assert done.returncode == want, (arguments, done.returncode, done.stderr)
        return done.stdout.decode() + done.stderr.decode()

    run.file = tmp_path / "users"
    return run


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_life_of_a_user(user):
    assert "reload" in user("add", "me@example.com", secret="secret\n")
    assert mode_of(user.file) == 0o600
    text = user.file.read_text()
    assert re.fullmatch(r"me@example\.com:\$y\$\S+\n", text)
    user("add", "me@example.com", secret="other\n", want=1)
    user("add", "app", "--scheme", "scram-sha-256", "--scope", "shop", secret="secret")
    user("add", "old", "--scheme", "plain", secret="a:b\r\n")
    assert text == user.file.read_text()[:len(text)]
    assert "old:{PLAIN.B64}YTpi\n" in user.file.read_text()
    listed = [line.split() for line in user("list").splitlines()]
    assert listed == [["NAME", "SCHEME", "SCOPE"], ["app", "scram-sha-256", "shop"],
                      ["me@example.com", "yescrypt"], ["old", "plain"]]
    before = user.file.read_text().splitlines()
    user("passwd", "app", secret="new\n")
    after = user.file.read_text().splitlines()
    assert [a == b for a, b in zip(after, before)] == [True, False, True]
    assert after[1].startswith("app:{SCRAM-SHA-256}4096,") and after[1].endswith(":shop")
    user("passwd", "app", "--scheme", "yescrypt", secret="new\n")
    assert re.search(r"^app:\$y\$\S+:shop$", user.file.read_text(), re.M)
    user("remove", "app", "nobody", want=1)
    assert "app:" in user.file.read_text()
    user("remove", "app", "old")
    assert user.file.read_text() == text
    user("passwd", "app", secret="x\n", want=1)


def test_what_people_wrote_stays(user, tmp_path):
    user.file.write_text("# ours\n\nfirst:{PLAIN}x:a\n  \n# last\nlast:{PLAIN}y")
    os.chmod(user.file, 0o640)
    real = user.file
    user.file = tmp_path / "link"
    user.file.symlink_to(real)
    user("add", "new", "--scheme", "plain", secret="z\n")
    assert user.file.is_symlink() and mode_of(real) == 0o640
    assert real.read_text() == ("# ours\n\nfirst:{PLAIN}x:a\n  \n# last\nlast:{PLAIN}y\n"
                                "new:{PLAIN}z\n")
    user("passwd", "first", secret="w\n")
    user("remove", "last")
    assert real.read_text() == "# ours\n\nfirst:{PLAIN}w:a\n  \n# last\nnew:{PLAIN}z\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "users"]


def test_refused(user):
    for name in ("", "a:b", "#a", " a", "a\n", "x" * 256):
        user("add", name, secret="x\n", want=64)
    user("add", "me", "extra", secret="x\n", want=64)
    user("add", "me", "--scheme", "md5", secret="x\n", want=64)
    user("add", "me", "--scope", "a b", secret="x\n", want=64)
    for secret in ("", "\n", "\x07\n"):
        user("add", "me", secret=secret, want=64)
    user("add", "me", secret="x" * 1025 + "\n", want=74)
    assert not user.file.exists()
    user("list", want=74)


def test_file_with_mistakes(user):
    user.file.write_text("me\n")
    os.chmod(user.file, 0o600)
    said = user("add", "you", "--scheme", "plain", secret="x\n")
    assert "users:1: NAME:SECRET" in said and "does not take" in said
    assert "users:1: " in user("list", want=1)
    user.file.write_text("me:{PLAIN}x\n")
    os.chmod(user.file, 0o644)
    assert "everybody has access" in user("list", want=1)
    # Editing mends that.
    user("passwd", "me", secret="y\n")
    assert mode_of(user.file) == 0o640


def test_configuration_names_the_file(tmp_path):
    config = tmp_path / "stagepost.yaml"
    config.write_text("hostname: x.test\nusers: {file: %s/there}\n" % tmp_path)

    def run(want):
        done = subprocess.run([STAGEPOST, "user", "add", "me", "--config", config], input=b"x\n",
                              stderr=subprocess.PIPE, timeout=PATIENCE)
        assert done.returncode == want, done.stderr
        return done.stderr.decode()

    run(0)
    assert (tmp_path / "there").exists()
    config.write_text("users: {file: '${HOME}/there'}\n")
    assert "--file" in run(64)
    config.unlink()
    run(74)


def type_at(user, arguments, lines):
    """What a terminal shows while `lines` are typed, and the exit code."""
    process, master = pty.fork()
    if process == 0:
        os.execv(STAGEPOST, [str(STAGEPOST), "user", *arguments, "--file", str(user.file)])
    shown = b""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ready, _, _ = select.select([master], [], [], 0.2)
        if ready:
            try:
                shown += os.read(master, 4096)
            except OSError:
                break
        elif lines and shown.rstrip(b" ").endswith(b":"):
            os.write(master, lines.pop(0))
    _, status = os.waitpid(process, 0)
    os.close(master)
    return shown.decode(), status


def test_prompt(user):
    shown, status = type_at(user, ["add", "me", "--scheme", "plain"], [b"hidden\n", b"hidden\n"])
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert "Password of me:" in shown and "hidden" not in shown
    assert user.file.read_text() == "me:{PLAIN}hidden\n"
    shown, status = type_at(user, ["passwd", "me"], [b"one\n", b"other\n"])
    assert os.waitstatus_to_exitcode(status) == 64 and "not the same" in shown
    # Ctrl-C ends it, and changes nothing.
    shown, status = type_at(user, ["passwd", "me"], [b"\x03"])
    assert os.WIFSIGNALED(status) and "hidden" not in shown
    assert user.file.read_text() == "me:{PLAIN}hidden\n"


def test_two_at_once(user):
    """Nobody's change is lost."""
    running = [subprocess.Popen([STAGEPOST, "user", "add", "u%d" % number, "--scheme", "plain",
                                 "--file", user.file], stdin=subprocess.PIPE,
                                stderr=subprocess.DEVNULL) for number in range(8)]
    for process in running:
        process.communicate(b"x\n", timeout=PATIENCE)
        assert process.returncode == 0
    assert len(user.file.read_text().splitlines()) == 8
