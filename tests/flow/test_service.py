"""Start, stop, reload and exit codes (INTERFACE 2; CASES S327, S329, S339, S340, S343)."""

import os
import signal
import socket
import subprocess
import time

import pytest

from daemon import PATIENCE, STAGEPOSTD, Smtp, free_port, queued_id, wait_for

STOP_GRACE = 10  # SMTP_GRACE_MS in relay/daemon.c


def run(*arguments, **options):
    return subprocess.run([STAGEPOSTD, *arguments], capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL, **options)


def test_version_and_help():
    for option in ("--version", "--help"):
        done = run(option)
        assert done.returncode == 0
        assert b"stagepost" in done.stdout


@pytest.mark.parametrize("arguments", [
    ("--no-such-option",), ("extra",), ("-c",), ("-o",),
])
def test_usage(arguments):
    done = run(*arguments)
    assert done.returncode == 64
    assert done.stderr


def test_every_mistake_is_reported(tmp_path):
    """S343; --check-config and a start judge alike."""
    config = tmp_path / "bad.yaml"
    config.write_text("threads: many\nsmtp: {max_recipients: 0}\nlistners: []\n")
    for arguments in (("-c", config, "--check-config"), ("-c", config),
                      ("-c", config, "--print-config")):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 78, done
        text = done.stderr.decode()
        for place in ("%s:1:10: threads" % config, "%s:2:24: smtp.max_recipients" % config,
                      "%s:3:1: listners" % config):
            assert place in text
        assert "listeners" in text
    assert run("-o", "nonsense", "--check-config").returncode == 78
    assert run("-c", tmp_path / "missing.yaml", "--check-config").returncode == 78


def test_check_and_print(tmp_path):
    config = tmp_path / "good.yaml"
    config.write_text("hostname: relay.example.com\ndata_dir: ${SP_DIR:-/tmp/x}\n")
    assert run("-c", config, "--check-config").returncode == 0
    printed = run("-c", config, "-o", "smtp.max_errors=7", "--print-config",
                  env={**os.environ, "SP_DIR": "/somewhere"})
    assert printed.returncode == 0
    assert b"hostname: relay.example.com\n" in printed.stdout
    assert b"data_dir: /somewhere\n" in printed.stdout
    assert b"  max_errors: 7\n" in printed.stdout
    again = tmp_path / "again.yaml"
    again.write_bytes(printed.stdout)
    assert run("-c", again, "--print-config").stdout == printed.stdout


def test_second_daemon_on_the_same_data(make_daemon):
    first = make_daemon()
    second = make_daemon(start=False)
    second.data_dir = first.data_dir
    second.write_config()
    second.start(wait=False)
    assert second.process.wait(30) == 75, second.log()
    second.process = None
    # The first one never noticed.
    with Smtp(first.smtp_port) as client:
        client.send("a@example.com", ["b@example.com"], b"\r\n")


def ask_to_stop(relay):
    """SIGTERM; a function that waits for the exit and says how long all of it took."""
    started = time.monotonic()
    process = relay.process
    relay.process = None
    process.terminate()

    def wait_for_exit():
        assert process.wait(40) == 0, relay.log()
        return time.monotonic() - started
    return wait_for_exit


def test_stop_waits_for_a_message(make_daemon):
    """S327: 421 at once between commands; a message under way is taken, and nothing behind it."""
    relay = make_daemon()
    with Smtp(relay.smtp_port) as idle, Smtp(relay.smtp_port) as begun, \
            Smtp(relay.smtp_port) as typing, Smtp(relay.smtp_port) as sending:
        begun.command("MAIL FROM:<a@example.com>")
        typing.write(b"MAIL FR")
        sending.envelope("a@example.com", ["b@example.com"])
        sending.write(b"Subject: x\r\n\r\nhalf")
        wait_for_exit = ask_to_stop(relay)
        for client in (idle, begun, typing):
            assert client.reply()[0] == 421
        sending.write(b"\r\n.\r\nMAIL FROM:<a@example.com>\r\n"
                      b"RCPT TO:<b@example.com>\r\nDATA\r\n")
        number = queued_id(sending.reply())
        assert sending.reply()[0] == 421
        assert wait_for_exit() < STOP_GRACE  # it stopped waiting with the last message
    with pytest.raises(OSError):
        Smtp(relay.smtp_port)
    relay.start()
    assert relay.message(number)["sender"] == "a@example.com"


def test_stop_with_a_stalled_message(make_daemon):
    """S327: who says nothing inside DATA holds the stop for the grace, and nobody else up."""
    relay = make_daemon()
    with Smtp(relay.smtp_port) as stalled, Smtp(relay.smtp_port) as idle:
        stalled.envelope("a@example.com", ["b@example.com"])
        stalled.write(b"Subject: x\r\n\r\nhalf")
        wait_for_exit = ask_to_stop(relay)
        assert idle.reply()[0] == 421
        stalled.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            stalled.socket.recv(1)
        stalled.socket.settimeout(PATIENCE)
        assert stalled.socket.recv(4096).startswith(b"421 ")
        took = wait_for_exit()
    assert STOP_GRACE - 0.5 < took < STOP_GRACE + 3
    relay.start()
    assert relay.get("/messages")["items"] == []


def test_stop_with_a_sender_that_goes_away(make_daemon):
    relay = make_daemon()
    with Smtp(relay.smtp_port) as client:
        client.envelope("a@example.com", ["b@example.com"])
        wait_for_exit = ask_to_stop(relay)
    assert wait_for_exit() < STOP_GRACE


def test_stop_with_an_api_request_under_way(make_daemon):
    """S275: the SMTP clients are told at once, not when the API client was given up."""
    relay = make_daemon()
    head = ("POST /api/v1/whitelist HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n"
            "Expect: 100-continue\r\n\r\n" % relay.token)
    with Smtp(relay.smtp_port) as idle, \
            socket.create_connection(("127.0.0.1", relay.api_port)) as api:
        api.sendall(head.encode())
        assert api.recv(1000).startswith(b"HTTP/1.1 100")  # the rest of it is waited for
        wait_for_exit = ask_to_stop(relay)
        assert idle.reply()[0] == 421
        api.setblocking(False)
        with pytest.raises(BlockingIOError):
            api.recv(1)
        assert wait_for_exit() < STOP_GRACE


def test_stop_by_interrupt(make_daemon):
    relay = make_daemon()
    relay.process.send_signal(signal.SIGINT)
    assert relay.process.wait(35) == 0
    relay.process = None


def test_port_in_use(make_daemon):
    """S340"""
    relay = make_daemon(start=False)
    with socket.create_server(("127.0.0.1", relay.smtp_port)):
        relay.start(wait=False)
        code = relay.process.wait(30)
    relay.process = None
    assert code not in (0, None) and code > 0
    assert str(relay.smtp_port) in relay.log()


def test_data_dir_that_cannot_be_made(make_daemon, tmp_path):
    """S340"""
    relay = make_daemon(start=False)
    (tmp_path / "file").write_text("")
    relay.data_dir = tmp_path / "file" / "below"
    relay.write_config()
    relay.start(wait=False)
    code = relay.process.wait(30)
    relay.process = None
    assert code in (74, 77, 78), relay.log()
    assert str(relay.data_dir) in relay.log() or str(tmp_path / "file") in relay.log()


def test_not_permitted(make_daemon, tmp_path):
    if os.geteuid() != 0 or not os.path.exists("/usr/sbin/runuser"):
        pytest.skip("needs root to become somebody without rights")
    done = subprocess.run(
        ["/usr/sbin/runuser", "-u", "nobody", "--", STAGEPOSTD, "-o", "data_dir=/root/stagepost",
         "-o", "listeners.0.address=127.0.0.1:%d" % free_port(), "-o", "admin.listen="],
        capture_output=True, timeout=60, stdin=subprocess.DEVNULL, cwd="/")
    if done.returncode in (126, 127) or b"runuser" in done.stderr:
        pytest.skip("nobody may not run this build: %r" % done.stderr[:200])
    assert done.returncode == 77, done
    assert b"data_dir" in done.stderr


def test_standard_descriptors_closed(make_daemon, hop):
    """S339: no socket becomes descriptor 0, 1 or 2, so nothing is written into one."""
    relay = make_daemon(hop.address, start=False)
    relay.process = subprocess.Popen(
        [STAGEPOSTD, "-c", relay.config], cwd=relay.folder,
        preexec_fn=lambda: [os.close(fd) for fd in (0, 1, 2)])
    wait_for(relay.is_ready, "the daemon")
    for fd in (0, 1, 2):
        target = os.readlink("/proc/%d/fd/%d" % (relay.process.pid, fd))
        assert "socket" not in target and "stagepost" not in target, target
    relay.allow("b@example.com")
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\n")
    relay.wait_states(number, {"b@example.com": "delivered"})


def max_recipients_of(relay):
    """How many RCPT a new session takes."""
    with Smtp(relay.smtp_port) as client:
        client.command("MAIL FROM:<a@example.com>")
        for count in range(10):
            if client.command("RCPT TO:<u%d@example.com>" % count)[0] != 250:
                return count
    return 10


def reload_with(relay, settings, log_text):
    before = relay.log().count(log_text)
    relay.write_config(settings)
    relay.hup()
    wait_for(lambda: relay.log().count(log_text) > before, "%r in the log" % log_text)


def test_reload(make_daemon, hop):
    """S329: a good file is in force for new sessions; any bad one changes nothing at all."""
    relay = make_daemon(hop.address, "smtp: {max_recipients: 3}\n")
    assert max_recipients_of(relay) == 3
    relay.write_config("smtp: {max_recipients: 5}\n")
    relay.hup()
    wait_for(lambda: max_recipients_of(relay) == 5, "the new limit")
    # Each is wrong in one place and right in another, which must not come through.
    reload_with(relay, "smtp: {max_recipients: 6}\nthreads: [\n", str(relay.config) + ":")
    assert max_recipients_of(relay) == 5
    reload_with(relay, "smtp: {max_recipients: 7}\nno_such_key: 1\n", "no_such_key")
    assert max_recipients_of(relay) == 5
    reload_with(relay, "smtp: {max_recipients: 8}\nthreads: 7\n", "threads")
    assert max_recipients_of(relay) == 5
    saved = relay.data_dir
    relay.data_dir = relay.folder / "elsewhere"
    reload_with(relay, "smtp: {max_recipients: 8}\n", "data_dir")
    relay.data_dir = saved
    assert max_recipients_of(relay) == 5
    assert not (relay.folder / "elsewhere").exists()
    relay.config.unlink()
    relay.hup()
    assert max_recipients_of(relay) == 5
    relay.write_config("smtp: {max_recipients: 4}\n")
    relay.hup()
    wait_for(lambda: max_recipients_of(relay) == 4, "the new limit")


def test_reload_of_routes(make_daemon, hop):
    """Mail that had no way out gets one; what was queued leaves by it."""
    relay = make_daemon(None, "routes: []\n")
    relay.allow("b@example.com")
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\n")
    assert hop.snapshot() == []
    relay.next_hop = hop.address
    relay.write_config()
    relay.hup()
    relay.wait_states(number, {"b@example.com": "delivered"})


def test_status_tells_the_hostname_in_force(make_daemon):
    """The version it was started with is gone after a reload; what it named must not be shown."""
    relay = make_daemon()
    assert relay.get("/status")["hostname"] == "relay.test"
    text = relay.config.read_text()
    for name in ("second.test", "third.test"):
        relay.config.write_text(text.replace("relay.test", name))
        relay.hup()
        wait_for(lambda: relay.get("/status")["hostname"] == name, name)


def test_reload_leaves_sessions_alone(make_daemon):
    relay = make_daemon(settings="smtp: {max_recipients: 3}\n")
    with Smtp(relay.smtp_port) as client:
        client.envelope("a@example.com", ["b@example.com"])
        relay.write_config("smtp: {max_recipients: 5}\n")
        relay.hup()
        wait_for(lambda: max_recipients_of(relay) == 5, "the new limit")
        client.write(b"Subject: x\r\n\r\n.\r\n")
        assert client.reply()[0] == 250


def test_capture_only(make_daemon, hop):
    relay = make_daemon(hop.address, "delivery: {capture_only: true}\n")
    relay.allow("b@example.com")
    with Smtp(relay.smtp_port) as client:
        client.send("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\n")
    # A second message through an ordinary daemon shows that there was time enough.
    other = make_daemon(hop.address)
    other.allow("b@example.com")
    with Smtp(other.smtp_port) as client:
        number = client.send("a@example.com", ["b@example.com"], b"Subject: y\r\n\r\n")
    other.wait_states(number, {"b@example.com": "delivered"})
    assert len(hop.snapshot()) == 1
    assert hop.connections == 1
