"""Certificates for tests, made by openssl(1)."""

import shutil
import subprocess

import pytest


def openssl(*arguments):
    program = shutil.which("openssl")
    if not program:
        pytest.skip("openssl is not installed")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class Authority:
    """A signer in a folder, and what it signs."""

    def __init__(self, folder, name="Test CA"):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.certificate = folder / "ca.pem"
        self.key = folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=" + name, "-days", "2", "-keyout", self.key,
                "-out", self.certificate)

    def sign(self, file, subject, names="DNS:localhost,IP:127.0.0.1", days=2,
             key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        """(certificate, key) as paths"""
        certificate = self.folder / (file + ".crt")
        secret = self.folder / (file + ".key")
        request = self.folder / (file + ".csr")
        extensions = self.folder / (file + ".ext")
        extensions.write_text("subjectAltName=%s\n" % names)
        openssl("req", "-new", "-newkey", *key, "-nodes", "-subj", subject, "-keyout", secret,
                "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", certificate)
        return certificate, secret


def fingerprint(certificate):
    """SHA-256, lower-case hexadecimal"""
    text = openssl("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256")
    return text.split("=", 1)[1].strip().replace(":", "").lower()
