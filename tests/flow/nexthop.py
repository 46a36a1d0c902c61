"""
A next hop that records every byte, and answers and pauses as a test says. What it saw and said is
noted for tests/fault/ledger.py; tests/fault/hop.py is one that misbehaves by a script.
"""

import hashlib
import re
import socket
import threading
import time

# Our Received field in front of what arrives, and the message's id in it.
OWN_RECEIVED = re.compile(
    rb"Received: from [^\r\n]*\r\n(?:\t\((?:via|forwarded for) [^\r\n]*\)\r\n)*"
    rb"\tby [^\r\n]* id ([0-9A-HJKMNP-TV-Z]{26});?\r\n\t[^\r\n]*\r\n")


class Received:
    """One message that got its final dot."""

    def __init__(self, sender, recipients, content, connection):
        self.sender = sender
        self.recipients = recipients
        self.content = content  # dot-unstuffed, up to and with the last CRLF
        self.connection = connection
        self.at = time.monotonic()


class NextHop:
    """
    Threads, one a connection. `replies` maps a recipient to the reply it gets at RCPT,
    `final_replies` is used up one a message (then 250). `hold_data_after` octets of a message's
    body reading stops until `resume` is set; `hold_final` does the same before the final reply.
    With a `context` (ssl, server side) it offers STARTTLS, or begins with TLS when `implicit`.
    """

    def __init__(self, port=0, extensions=("PIPELINING", "8BITMIME", "SIZE 100000000"),
                 context=None, implicit=False, host="127.0.0.1"):
        self.host = host
        self.nodelay = True  # False: each reply waits for the ACK of the one before (Nagle)
        self.extensions = extensions
        self.context = context
        self.implicit = implicit
        self.replies = {}
        self.final_replies = []
        self.hold_data_after = None
        self.hold_final = False
        self.drop_in_data_after = None
        self.keeps_contents = True  # else `messages` and `raw_bodies` stay empty
        self.paused = threading.Event()
        self.resume = threading.Event()
        self.lock = threading.Lock()
        self.messages = []
        self.lines = []  # every MAIL and RCPT line as it came
        self.offered = []  # the address of every RCPT line, accepted or not
        self.unfinished = []  # what came of messages whose connection ended before the dot
        self.raw_bodies = []  # as on the wire, with stuffing, without the terminator
        self.sockets = []
        self.connections = 0
        self.open_connections = 0
        self.most_at_once = 0
        self.journal = []  # what was seen and said, for the ledger
        self.listener = socket.create_server(
            (host, port), backlog=200, family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return ("[%s]:%d" if ":" in self.host else "%s:%d") % (self.host, self.port)

    def close(self):
        self.open = False
        self.resume.set()
        # Wakes accept(), which close() alone does not.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def kill(self):
        """As if the process died: nobody listens, and what was open is cut off, unanswered."""
        with self.lock:
            sockets = [self.listener, *self.sockets]
        self.open = False
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.close()

    def snapshot(self):
        with self.lock:
            return list(self.messages)

    def noted(self):
        """The journal so far."""
        with self.lock:
            return [dict(line) for line in self.journal]

    def note(self, conversation, event, **members):
        """`code` and `sent` are filled in with the answer."""
        line = {"hop": self.address, "connection": conversation.number, "at": time.time(),
                "event": event, "code": None, "sent": False, **members}
        with self.lock:
            self.journal.append(line)
        return line

    def copies_for(self, address):
        return [m for m in self.snapshot() if address in m.recipients]

    def _accept(self):
        while self.open:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.sockets.append(connection)
                self.open_connections += 1
                self.most_at_once = max(self.most_at_once, self.open_connections)
                number = self.connections
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        connection.settimeout(120)
        # As real ones: an answer of its own packet does not wait 40 ms for the last one's ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(self.nodelay))
        conversation = self.converse(connection, number)
        try:
            conversation.run()
        except OSError:
            pass
        finally:
            # By TLS it is another object than the one that was accepted.
            conversation.connection.close()
            with self.lock:
                self.open_connections -= 1

    def converse(self, connection, number):
        return Conversation(self, connection, number)


class Over(ConnectionError):
    """The conversation ends here."""


class Conversation:
    def __init__(self, hop, connection, number):
        self.hop = hop
        self.connection = connection
        self.number = number
        self.buffer = bytearray()  # grows in place, which bytes would not
        self.secured = False
        self.sender = None
        self.recipients = []

    def write(self, data):
        self.connection.sendall(data)

    def answer(self, event, usual, **members):
        """Say `usual` and note it; the code."""
        line = self.hop.note(self, event, **members)
        self.respond(line, usual.encode() + b"\r\n")
        return line["code"]

    def respond(self, line, usual):
        self.say(line, usual)

    def say(self, line, data):
        """What is said to `line` of the journal."""
        line["code"] = code_of(data)
        self.write(data)
        line["sent"] = True

    def fill(self):
        data = self.connection.recv(65536)
        self.buffer += data
        return bool(data)

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                return None
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def secure(self):
        """What came behind STARTTLS in clear is forgotten (RFC 3207 4.2)."""
        self.buffer = bytearray()
        self.connection = self.hop.context.wrap_socket(self.connection, server_side=True)
        self.secured = True

    def run(self):
        if self.hop.implicit:
            self.secure()
        self.answer("greeting", "220 nexthop.example ESMTP")
        while True:
            line = self.line()
            if line is None:
                return
            verb = line.split(" ")[0].upper()
            if verb in ("MAIL", "RCPT"):
                with self.hop.lock:
                    self.hop.lines.append(line)
            if verb == "QUIT":
                self.answer("quit", "221 2.0.0 Bye")
                return
            if verb == "DATA":
                self.on_data()
            else:
                self.on_command(verb, line)

    def on_command(self, verb, line):
        if verb == "EHLO":
            self.answer("ehlo", self.hello(), line=line)
        elif verb == "STARTTLS" and self.hop.context and not self.secured:
            if self.answer("starttls", "220 2.0.0 Go ahead") == 220:
                self.secure()
        elif verb == "MAIL":
            self.sender = address_of(line)
            self.recipients = []
            self.answer("mail", "250 2.1.0 Ok", line=line)
        elif verb == "RCPT":
            self.on_rcpt(address_of(line), line)
        elif verb == "RSET":
            self.recipients = []
            self.answer("rset", "250 2.0.0 Ok")
        else:
            self.answer(verb.lower(), "250 2.0.0 Ok", line=line)

    def hello(self):
        lines = ["nexthop.example", *self.hop.extensions]
        if self.hop.context and not self.secured:
            lines.append("STARTTLS")
        return "\r\n".join("250%s%s" % ("-" if i + 1 < len(lines) else " ", text)
                           for i, text in enumerate(lines))

    def on_rcpt(self, address, line):
        with self.hop.lock:
            self.hop.offered.append(address)
        usual = self.hop.replies.get(address, "250 2.1.5 Ok")
        if is_yes(self.answer("rcpt", usual, address=address, line=line)):
            self.recipients.append(address)

    def on_data(self):
        if not self.recipients:
            self.answer("data", "554 5.5.1 No valid recipients")
            return
        if self.answer("data", "354 Go ahead") != 354:
            return
        body = self.read_body()
        if body is None:
            raise Over
        if self.hop.hold_final:
            self.wait()
        with self.hop.lock:
            answer = self.hop.final_replies.pop(0) if self.hop.final_replies else "250 2.0.0 Ok"
            if self.hop.keeps_contents:
                self.hop.raw_bodies.append(body)
        self.take(unstuff(body), answer)
        self.recipients = []

    def take(self, content, usual):
        """The dot has come: `messages` has it before the client hears that it is taken."""
        match = OWN_RECEIVED.match(content)
        rest = content[match.end():] if match else content
        line = self.hop.note(self, "dot", sender=self.sender, recipients=self.recipients,
                             id=match.group(1).decode() if match else None, size=len(content),
                             sha256=hashlib.sha256(rest).hexdigest())
        received = Received(self.sender, self.recipients, content, self.number)
        self.final(line, received, usual)

    def final(self, line, received, usual):
        if usual.startswith("2"):
            self.keep(received)
        self.say(line, usual.encode() + b"\r\n")

    def keep(self, received):
        with self.hop.lock:
            if self.hop.keeps_contents:
                self.hop.messages.append(received)

    def wait(self):
        self.hop.paused.set()
        self.hop.resume.wait(60)

    def read_body(self):
        """Up to CRLF.CRLF. None: the connection ended first."""
        searched = 0
        held = False
        while True:
            if self.buffer.startswith(b".\r\n"):
                self.buffer = self.buffer[3:]
                return b""
            end = self.buffer.find(b"\r\n.\r\n", max(searched - 4, 0))
            if end >= 0:
                body = bytes(self.buffer[: end + 2])
                self.buffer = self.buffer[end + 5:]
                return body
            searched = len(self.buffer)
            held = self.during_body(searched, held)
            if not self.fill():
                self.unfinished()
                return None

    def during_body(self, octets, held):
        """So much of it is here, and no end. True: it has been held once."""
        limit = self.hop.drop_in_data_after
        if limit is not None and octets >= limit:
            self.hop.drop_in_data_after = None
            self.unfinished()
            raise Over
        limit = self.hop.hold_data_after
        if limit is not None and octets >= limit and not held:
            self.wait()
            return True
        return held

    def unfinished(self):
        self.hop.note(self, "cut", recipients=self.recipients, size=len(self.buffer))
        with self.hop.lock:
            self.hop.unfinished.append((list(self.recipients), bytes(self.buffer)))


def code_of(data):
    """None: this is no reply."""
    return int(data[:3]) if re.match(rb"[2-5][0-9]{2}[ \r-]", data) else None


def is_yes(code):
    return code is not None and 200 <= code <= 299


def address_of(line):
    start = line.index("<")
    return line[start + 1: line.index(">", start)]


def unstuff(body):
    lines = body.split(b"\r\n")
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)
