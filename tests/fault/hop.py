"""
A next hop that misbehaves by a script (CASES 2.I), on top of the well-behaved one of the flow
tests. A script is a list of steps; the first that fits what has come is played, else the next hop
does the usual thing. What it really said is in its journal, for the ledger.

    Hop([Step("rcpt", say("450 4.2.0 later"), match="bob@"),     # by recipient
         Step("dot", drop(), last=2),                            # the first two times
         Step("greeting", late(5, drip("220 slow", 0.1))),
         Step("mail", reset(), chance=0.05)])                    # one in twenty
"""

import random
import socket
import ssl
import struct
import time

from nexthop import Conversation, NextHop, Over, code_of, is_yes

STAGES = ("connect", "greeting", "ehlo", "helo", "starttls", "auth", "mail", "rcpt", "data", "body",
          "dot", "rset", "quit")


class Step:
    """
    `match`: the command line holds it. Of the times that it fits, from 1, it is played from the
    first to the last (None: for ever). `at`: with "body", so many octets are here. `chance`: of 1.
    """

    def __init__(self, stage, act, match="", first=1, last=None, at=0, chance=1.0):
        assert stage in STAGES, stage
        self.stage = stage
        self.act = act
        self.match = match
        self.first = first
        self.last = last
        self.at = at
        self.chance = chance
        self.fitted = 0
        self.played = 0

    def fits(self, stage, text, octets, source):
        if stage != self.stage or self.match not in text or octets < self.at:
            return False
        self.fitted += 1
        if self.fitted < self.first or (self.last is not None and self.fitted > self.last):
            return False
        if self.chance < 1.0 and source.random() >= self.chance:
            return False
        self.played += 1
        return True


class Hop(NextHop):
    """
    `rate`: octets a second that it reads of a body. `receive_buffer`: of its sockets, in octets.
    `seed` decides what steps with a chance do.
    """

    def __init__(self, script=(), rate=None, receive_buffer=None, seed=0, **options):
        self.script = list(script)
        self.rate = rate
        self.random = random.Random(seed)
        super().__init__(**options)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

    def converse(self, connection, number):
        return Scripted(self, connection, number)

    def find(self, stage, text="", octets=0):
        with self.lock:
            return next((s for s in self.script if s.fits(stage, text, octets, self.random)), None)

    def reached(self, event):
        """How often."""
        return sum(line["event"] == event for line in self.noted())

    def behave(self):
        """No step is played from now on."""
        with self.lock:
            self.script = []


class Scripted(Conversation):
    def run(self):
        step = self.hop.find("connect")
        if step:
            step.act(self, {}, b"")
        super().run()

    def respond(self, line, usual):
        step = self.hop.find(line["event"], line.get("line") or "")
        if step:
            step.act(self, line, usual)
        else:
            super().respond(line, usual)

    def final(self, line, received, usual):
        step = self.hop.find("dot", " ".join(self.recipients))
        if step is None:
            super().final(line, received, usual)
            return
        try:
            step.act(self, line, usual.encode() + b"\r\n")
        finally:
            # Also one whose answer never left may have been taken.
            if is_yes(line["code"]):
                self.keep(received)

    def during_body(self, octets, held):
        step = self.hop.find("body", octets=octets)
        if step:
            try:
                step.act(self, {}, b"")
            except Over:
                self.unfinished()
                raise
        return super().during_body(octets, held)

    def fill(self):
        if self.hop.rate is None or not self.recipients:
            return super().fill()
        self.pause(0.1)
        data = self.connection.recv(max(1, self.hop.rate // 10))
        self.buffer += data
        return bool(data)

    def pause(self, seconds):
        """Ends early with the next hop."""
        deadline = time.monotonic() + seconds
        while self.hop.open and time.monotonic() < deadline:
            time.sleep(min(0.02, max(deadline - time.monotonic(), 0)))
        if not self.hop.open:
            raise Over


# --- what a step does -------------------------------------------------------------------------
# Called with the conversation, the line of the journal (which gets the code that was said) and
# the usual answer.


def as_bytes(text):
    """A string is one reply line."""
    return text if isinstance(text, bytes) else text.encode() + b"\r\n"


def lines(code, count, text=b"x"):
    """One reply of so many lines."""
    return b"".join(b"%d%s%s\r\n" % (code, b"-" if i + 1 < count else b" ", text)
                    for i in range(count))


def say(text):
    """This, instead; bytes are written as they are."""
    return lambda talk, line, usual: talk.say(line, as_bytes(text))


def usually():
    return lambda talk, line, usual: talk.say(line, usual)


def also(text):
    """The usual answer, and this behind it in the same packet."""
    return lambda talk, line, usual: talk.say(line, usual + as_bytes(text))


def then(*acts):
    def act(talk, line, usual):
        for one in acts:
            one(talk, line, usual)

    return act


def raw(data):
    """Bytes that are no answer."""
    return lambda talk, line, usual: talk.write(data)


def garble(data, taken=False):
    """An answer that none can understand. `taken`: what has come is kept all the same."""

    def act(talk, line, usual):
        line["code"] = 250 if taken else None
        talk.write(as_bytes(data))

    return act


def late(seconds, act=None):
    """The usual answer, or another act, after a while."""

    def wait(talk, line, usual):
        talk.pause(seconds)
        (act or usually())(talk, line, usual)

    return wait


def drip(text, each_seconds):
    """An octet at a time."""

    def act(talk, line, usual):
        data = as_bytes(text)
        for octet in data[:-1]:
            talk.write(bytes([octet]))
            talk.pause(each_seconds)
        line["code"] = code_of(data)
        talk.write(data[-1:])
        line["sent"] = True

    return act


def stall(seconds=3600):
    """Neither reads nor answers, and ends without a word."""

    def act(talk, line, usual):
        talk.pause(seconds)
        raise Over

    return act


def drop(taken=False):
    """Close. `taken`: what has come is kept all the same, only the answer does not leave."""

    def act(talk, line, usual):
        if taken:
            line["code"] = 250
        raise Over

    return act


def reset(taken=False):
    """Close with RST."""

    def act(talk, line, usual):
        talk.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        drop(taken)(talk, line, usual)

    return act


def deaf():
    """Close the reading side only, then the usual answer."""

    def act(talk, line, usual):
        talk.connection.shutdown(socket.SHUT_RD)
        if usual:
            talk.say(line, usual)

    return act


def server_context(certificate, key, careless=False):
    """`careless`: with keys and versions that nobody should take."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if careless:
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(certificate, key)
    return context


class BlackHole:
    """An address where connections neither succeed nor fail: its queue is full for ever."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(self.listener.getsockname())
            self.waiting.append(one)

    def close(self):
        for one in [*self.waiting, self.listener]:
            one.close()
