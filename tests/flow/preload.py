"""A library of ours in front of the daemon's own, and the number that steers it."""

import pathlib
import shutil
import struct
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]


class Preload:
    """What starts from now on has `source` (a path from the top) preloaded; called, it is told."""

    def __init__(self, source, folder, monkeypatch):
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("there is no C compiler")
        library = folder / "preload.so"
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-I", TOP, "-o", library,
                        TOP / source], check=True)
        self.number = folder / "preload.number"
        self.number.write_bytes(struct.pack("l", 0))
        monkeypatch.setenv("PRELOAD_NUMBER", str(self.number))
        monkeypatch.setenv("LD_PRELOAD", str(library))

    def __call__(self, number):
        with open(self.number, "r+b") as file:  # in place: the daemon has it mapped
            file.write(struct.pack("l", int(number)))

    def left(self):
        return struct.unpack("l", self.number.read_bytes())[0]
