"""Faults of the world below the daemon: system calls that fail, a disk that is full."""

import os
import shutil
import subprocess
import time

import pytest


class FailingCalls:
    """
    From now until stop() the system calls of a daemon fail: FailingCalls(daemon,
    "fdatasync,fsync", "EIO", "3") for the third of each thread, "1+" for all. Skips the test
    where tracing is not permitted.
    """

    def __init__(self, daemon, calls, error, when):
        if shutil.which("strace") is None:
            pytest.skip("strace is not installed")
        self.out = daemon.folder / "strace.out"
        # From outside: the daemon stays a child of the test, which sees its exit code.
        self.process = subprocess.Popen(
            ["strace", "-f", "-p", str(daemon.process.pid), "-e", "trace=" + calls,
             "-e", "inject=%s:error=%s:when=%s" % (calls, error, when), "-o", self.out],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        threads = len(os.listdir("/proc/%d/task" % daemon.process.pid))
        said = b""
        while b"attached" not in said:
            line = self.process.stderr.readline()
            if not line:
                self.process.wait(10)
                pytest.skip("tracing is not permitted here: %r" % said[-200:])
            said += line
        self._wait_for_all(daemon.process.pid, threads)

    def _wait_for_all(self, pid, threads):
        """The one line it says may come before it has every thread."""
        deadline = time.monotonic() + 20
        while self.traced(pid) < threads:
            assert time.monotonic() < deadline, "strace does not attach"
            time.sleep(0.02)

    def traced(self, pid):
        count = 0
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/status" % (pid, task), encoding="ascii") as status:
                count += "TracerPid:\t%d\n" % self.process.pid in status.read()
        return count

    @property
    def injected(self):
        """How many calls were made to fail."""
        return self.out.read_text().count("(INJECTED)") if self.out.exists() else 0

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stderr.close()


class SmallDisk:
    """A file system of a few megabytes in memory. Skips the test where it can't be mounted."""

    def __init__(self, folder, mebibytes):
        self.folder = folder
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=%dm,mode=700" % mebibytes, "none", folder],
            capture_output=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            folder.rmdir()
            pytest.skip("no file system can be mounted here: %r" % done.stderr[-200:])

    def free_bytes(self):
        fs = os.statvfs(self.folder)
        return fs.f_bavail * fs.f_frsize

    def fill(self, leave_bytes):
        """A file of somebody else takes all but so much, also what came free since the last time."""
        with open(self.folder / "filler", "ab") as filler:
            more = self.free_bytes() - leave_bytes
            if more > 0:
                os.posix_fallocate(filler.fileno(), filler.tell(), more)

    def empty(self):
        (self.folder / "filler").unlink()

    def close(self):
        subprocess.run(["umount", "-l", self.folder], check=True, stdin=subprocess.DEVNULL)
