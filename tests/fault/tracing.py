"""One thread of a daemon under strace: counted, killed at its n-th system call, or slowed."""

import pathlib
import re
import shutil
import subprocess
import time

import pytest


def threads(process):
    """Name to numbers, lowest first; the main thread is "stagepostd"."""
    found = {}
    for task in pathlib.Path("/proc/%d/task" % process.pid).iterdir():
        try:
            name = (task / "comm").read_text().strip()
        except OSError:
            continue
        found.setdefault(name, []).append(int(task.name))
    return {name: sorted(numbers) for name, numbers in found.items()}


class Traced:
    """
    strace at threads of a running daemon, from outside, so that the daemon stays the test's child.
    `when` of an injection counts for each thread and each call by itself. Skips the test where tracing is not
    permitted.
    """

    def __init__(self, daemon, tasks, calls, inject=None):
        if shutil.which("strace") is None:
            pytest.skip("strace is not installed")
        self.out = daemon.folder / "trace.out"
        self.out.write_bytes(b"")
        command = ["strace", "-ttt", "-T", "-y", "-s", "300", "-o", str(self.out),
                   "-e", "trace=" + calls, "-e", "signal=none"]
        if inject:
            command += ["-e", "inject=" + inject]
        for task in tasks:
            command += ["-p", str(task)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for task in tasks:
            self._wait_for(daemon.process.pid, task)

    def _wait_for(self, pid, task):
        deadline = time.monotonic() + 20
        status = pathlib.Path("/proc/%d/task/%d/status" % (pid, task))
        while "TracerPid:\t%d\n" % self.process.pid not in status.read_text():
            if self.process.poll() is not None:
                pytest.skip("tracing is not permitted here: %r" % self.process.stderr.read()[-200:])
            assert time.monotonic() < deadline, "strace does not attach"
            time.sleep(0.002)

    def lines(self):
        return self.out.read_text("utf-8", "replace").splitlines()

    def calls(self):
        """Name to how often it was begun by the thread that did it most often."""
        counts = {}  # (thread, name)
        for line in self.lines():
            match = re.match(r"(\d+ +)?\d+\.\d+ (\w+)\(", line)
            if match:
                counts[match.groups()] = counts.get(match.groups(), 0) + 1
        most = {}
        for (_, name), count in counts.items():
            most[name] = max(most.get(name, 0), count)
        return most

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)
        self.process.stderr.close()
        return self
