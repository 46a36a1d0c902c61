"""
testssl.sh against both kinds of TLS listener, on demand (a minute each):
STAGEPOST_BUILD=build python3 -m pytest tests/soak/test_testssl.py     (apt-get install testssl.sh)
"""

import json
import shutil
import subprocess

import pytest
from certificates import Authority
from daemon import Listeners
from tlsclient import pair

# What a test's own signer cannot have, and the scanner's own troubles.
NOT_OURS = {
    "engine_problem", "cert_chain_of_trust", "cert_revocation", "cert_caIssuers", "OCSP_stapling",
    "DNS_CAArecord", "certificate_transparency", "cert_expirationStatus", "cert_mustStapleExtension",
    "overall_grade", "grade_cap_reason_1", "grade_cap_reason_2",
}


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_no_vulnerability(make_daemon, tmp_path, mode):
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    if not program:
        pytest.skip("testssl.sh is not installed")
    certificate = Authority(tmp_path / "ca").sign("relay", "/CN=localhost", days=90)
    door = Listeners(make_daemon, one="tls: %s, %s" % (mode, pair(*certificate)))
    door.daemon.start()
    report = tmp_path / "report.json"
    command = [program, "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", report]
    command += ["-t", "smtp"] if mode == "starttls" else []
    command += ["127.0.0.1:%d" % door.ports["one"]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=600,
                          check=False)
    assert report.exists(), done.stdout[-2000:]
    rows = json.loads(report.read_text())
    found = {row["id"]: row["finding"] for row in rows}
    for version in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert "not offered" in found[version], found[version]
    for version in ("TLS1_2", "TLS1_3"):
        assert "offered" in found[version] and "not" not in found[version], found[version]
    bad = [row for row in rows
           if row["severity"] not in ("OK", "INFO", "DEBUG") and row["id"] not in NOT_OURS]
    assert not bad, json.dumps(bad, indent=1)
    assert sum(row["severity"] == "OK" for row in rows) > 30, len(rows)
