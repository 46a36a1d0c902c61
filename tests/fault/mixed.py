"""Many messages through several next hops of which each does everything wrong now and then."""

import random
import threading
import time

from daemon import Smtp
from hop import Step, drip, drop, garble, late, raw, reset, say, stall, then

ODDS = 0.05 / 4  # of each kind of trouble at a stage: some 5 % of the messages at each stage

HOPS = 4


def troubles():
    """Steps that are played by chance; what is told to be taken is taken."""
    def some(stage, *acts):
        return [Step(stage, act, chance=ODDS) for act in acts]

    return [
        *some("greeting", drop(), say("421 4.3.2 busy"), stall(1.5), garble("hello?")),
        *some("ehlo", drop(), say("421 4.3.2 busy"), garble("250-a\r\n550 b")),
        *some("mail", drop(), reset(), say("451 4.3.0 later"), say("421 4.3.2 closing"),
              garble("25 x")),
        *some("rcpt", drop(), say("450 4.2.0 later"), say("550 5.1.1 nobody"),
              say("421 4.3.2 closing"), garble("+250 x")),
        *some("data", drop(), say("451 4.3.0 later"), then(say("354 go"), reset()),
              say("250 taken already")),
        Step("body", drop(), at=1, chance=ODDS),
        Step("body", reset(), at=100000, chance=ODDS),
        *some("dot", drop(), drop(taken=True), reset(), say("451 4.3.0 later"),
              say("554 5.6.0 do not like it"), say("421 4.3.2 closing"),
              garble("nonsense", taken=True), late(0.3), drip("250 slowly", 0.01),
              then(raw(b"250-wait\r\n"), late(0.1, say("250 done")))),
        *some("rset", drop(), stall(1.5)),
    ]


def plant(farm, seed):
    print("STAGEPOST_SEED=%d" % seed)
    for number in range(HOPS):
        farm.hop("h%d" % number, troubles(), seed=seed * HOPS + number)
    # And one that is always good, which nothing of this may hold up.
    farm.hop("good")


def send(farm, count, seed, clients=4):
    """By some clients at once, to one to five people at one or two places, some not allowed."""
    failures = []

    def run(number):
        source = random.Random(seed * clients + number)
        try:
            with Smtp(farm.daemon.smtp_port) as client:
                for i in range(count // clients):
                    one(farm, client, source, "%d-%d" % (number, i))
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def one(farm, client, source, tag):
    places = source.sample(sorted(farm.hops), source.choice([1, 1, 1, 2]))
    to = ["p%d@%s.test" % (i, place) for place in places
          for i in range(source.choice([1, 1, 2, 5]))]
    to += ["customer@elsewhere.test"] * (source.random() < 0.3)
    size = source.choice([10, 10, 1000, 5000, 300000 if source.random() < 0.1 else 10])
    body = b"Message-ID: <%s@shop.test>\r\n\r\n%s\r\n" % (tag.encode(), b".x" * (size // 2))
    number = client.send("app@shop.test", to, body)
    farm.ledger.accepted(number, "app@shop.test", to, body)


def change_list(farm, stop, seed):
    """While they run: one place is taken off the list and put back, again and again."""
    source = random.Random(seed)
    entry = farm.entries["h0"]
    while not stop.is_set():
        stop.wait(source.uniform(0.2, 0.6))
        farm.ledger.remove(farm.daemon, entry)
        stop.wait(source.uniform(0.05, 0.3))
        entry = farm.ledger.allow(farm.daemon, "h0.test")[0]


def run(farm, count, seed):
    """The ledger's report of it all."""
    plant(farm, seed)
    farm.start(schedule=["200ms", "400ms"], expire_after="2m", bounces=True)
    stop = threading.Event()
    changer = threading.Thread(target=change_list, args=(farm, stop, seed))
    changer.start()
    began = time.monotonic()
    try:
        send(farm, count, seed)
    finally:
        stop.set()
        changer.join()
    print("sent in %.1f s" % (time.monotonic() - began))
    farm.wait_settled(300)
    print("settled in %.1f s" % (time.monotonic() - began))
    assert farm.daemon.stop() == 0
    played = sum(step.played for hop in farm.hops.values() for step in hop.script)
    print("faults played: %d" % played)
    assert played > count / 20
    return farm.ledger.check(database=farm.daemon.data_dir / "stagepost.db")
