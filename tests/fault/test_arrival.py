"""P5 at a real MTA: a part of the collected messages, at Postfix (all of them and other makes:
tests/soak/test_arrival_soak.py)."""

import pytest

import arrival
from certificates import Authority
from clients import Missing
from mta import Postfix
from test_fidelity import corpus


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def test_byte_exact_at_postfix(make_daemon, authority, corpora):
    """By each kind of listener and each kind of route."""
    try:
        mta = Postfix(*authority.sign("mta", "/CN=localhost"))
    except Missing as missing:
        pytest.skip(str(missing))
    messages = corpus(corpora)[::12]
    try:
        outcome = arrival.run(make_daemon, mta.start(), authority.certificate, messages)
    except Missing as missing:
        pytest.skip(str(missing))
    finally:
        mta.stop()
    print(outcome.table())
    assert outcome.wrong == []
    assert sum(outcome.counts.values()) == 9 * len(messages)
    assert outcome.refused == 0
