"""
P5: every message of the corpora by three kinds of listener and three kinds of route to Postfix,
Exim and OpenSMTPD, compared byte for byte as it lies in their maildirs. -s shows the tables.
"""

import pytest

import arrival
from certificates import Authority
from clients import Missing
from mta import MTAS
from test_fidelity import corpus


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", sorted(MTAS))
def test_byte_exact(make_daemon, tmp_path, corpora, name):
    authority = Authority(tmp_path / "ca")
    try:
        mta = MTAS[name](*authority.sign("mta", "/CN=localhost"))
    except Missing as missing:
        pytest.skip(str(missing))
    messages = corpus(corpora)
    try:
        outcome = arrival.run(make_daemon, mta.start(), authority.certificate, messages, 600)
    except Missing as missing:
        pytest.skip(str(missing))
    finally:
        mta.stop()
    print("\n%s, %d messages\n%s" % (name, len(messages), outcome.table()))
    assert outcome.wrong == []
    assert sum(outcome.counts.values()) + outcome.refused == 9 * len(messages)
    # A few are too odd for it.
    assert outcome.refused <= 9 * len(messages) // 20
