"""./quickstart says what to try next: what it prints is pasted here, line by line."""

import os
import pathlib
import signal
import subprocess

import pytest

from daemon import BUILD, SANITIZER, free_port, wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def demo(tmp_path):
    """(its output so far, the folder of its data)"""
    log = tmp_path / "log"
    var = tmp_path / "var"
    ports = {name: "127.0.0.1:%d" % free_port()
             for name in ("STAGEPOST_SMTP", "STAGEPOST_API", "STAGEPOST_SINK")}
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [TOP / "quickstart"], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, cwd=TOP,
            env={**os.environ, **ports, "STAGEPOST_VAR": str(var), "STAGEPOST_BUILD": str(BUILD)})
    try:
        wait_for(lambda: process.poll() is not None or b"Ctrl-C stops everything" in
                 log.read_bytes(), "the demo to run")
        assert process.poll() is None, log.read_text()
        yield log, var
        # What a terminal does at Ctrl-C.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(40) == 0, log.read_text()
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
        assert not SANITIZER.search(log.read_bytes()), log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def test_what_the_demo_prints(demo):
    log, var = demo
    lines = log.read_text().splitlines()
    curl, = [line for line in lines if line.startswith("curl ")]
    send, = [line for line in lines if line.startswith("printf ")]
    look = [line for line in lines if line.startswith(("./build", str(BUILD)))]
    assert look

    def paste(line):
        return subprocess.run(["bash", "-c", line], check=True, capture_output=True, cwd=TOP,
                              stdin=subprocess.DEVNULL, timeout=60).stdout.decode()

    assert '"pattern":"alice@example.com"' in paste(curl)
    paste(send)
    wait_for(lambda: list((var / "sink" / "new").glob("*")), "the message at the demo sink")
    story = wait_for(lambda: next((text for text in [paste(look[-1])]
                                   if "delivered    alice" in text), None), "the whole story")
    assert "dropped      bob@example.com: no entry allows it" in story
    assert "dropped      carol@example.com: no entry allows it" in story
    copies = list((var / "sink" / "new").glob("*"))
    assert len(copies) == 1
    assert b"carol" not in copies[0].read_bytes()


APT = """#!/bin/sh
# What is installed asks whether it may start, as invoke-rc.d does.
[ "$2" = install ] || exit 0
echo "$@" >"$STATE/installed"
"$STAGEPOST_POLICY" nginx start
echo $? >"$STATE/answer"
cp "$STAGEPOST_POLICY" "$STATE/left-behind"
exit 1
"""


@pytest.mark.skipif(os.getuid() != 0, reason="as root it installs, else by sudo")
@pytest.mark.parametrize("own", [False, True], ids=["no-policy", "somebody's-policy"])
def test_what_is_installed_for_tests_is_not_started(tmp_path, own):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("apt-get", APT), ("dpkg-query", "#!/bin/sh\necho not-installed\n"),
                       ("debconf-set-selections", "#!/bin/sh\ncat >/dev/null\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    policy = tmp_path / "policy-rc.d"
    if own:
        policy.write_text("#!/bin/sh\nexit 104\n")
        policy.chmod(0o755)
    done = subprocess.run(
        [TOP / "quickstart", "check"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
        env={**os.environ, "PATH": "%s:%s" % (programs, os.environ["PATH"]),
             "STATE": str(tmp_path), "STAGEPOST_POLICY": str(policy)})
    # apt-get failed, and nothing of the run stays.
    assert done.returncode == 1 and b"could not install" in done.stderr
    assert {"nginx", "libnginx-mod-mail", "php-cgi", "fcgiwrap", "postfix"} <= set(
        (tmp_path / "installed").read_text().split())
    assert (tmp_path / "answer").read_text() == ("104\n" if own else "101\n")
    assert policy.exists() == own
    if not own:
        # Had it been killed: what it left forbids nothing any more, and goes.
        left = tmp_path / "left-behind"
        assert subprocess.run([left, "nginx", "start"], timeout=10).returncode == 0
        assert not left.exists()
