"""A next hop that records every byte, and answers and pauses as a test says."""

import socket
import threading
import time


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
    """

    def __init__(self, port=0, extensions=("PIPELINING", "8BITMIME", "SIZE 100000000")):
        self.nodelay = True  # False: each reply waits for the ACK of the one before (Nagle)
        self.extensions = extensions
        self.replies = {}
        self.final_replies = []
        self.hold_data_after = None
        self.hold_final = False
        self.drop_in_data_after = None
        self.paused = threading.Event()
        self.resume = threading.Event()
        self.lock = threading.Lock()
        self.messages = []
        self.lines = []  # every MAIL and RCPT line as it came
        self.offered = []  # the address of every RCPT line, accepted or not
        self.unfinished = []  # what came of messages whose connection ended before the dot
        self.raw_bodies = []  # as on the wire, with stuffing, without the terminator
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", port), backlog=200)
        self.port = self.listener.getsockname()[1]
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def close(self):
        self.open = False
        self.resume.set()
        # Wakes accept(), which close() alone does not.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def snapshot(self):
        with self.lock:
            return list(self.messages)

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
                number = self.connections
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        connection.settimeout(120)
        # As real ones: an answer of its own packet does not wait 40 ms for the last one's ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(self.nodelay))
        try:
            with connection:
                Conversation(self, connection, number).run()
        except OSError:
            pass


class Conversation:
    def __init__(self, hop, connection, number):
        self.hop = hop
        self.connection = connection
        self.number = number
        self.buffer = bytearray()  # grows in place, which bytes would not
        self.sender = None
        self.recipients = []

    def reply(self, text):
        self.connection.sendall(text.encode() + b"\r\n")

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

    def run(self):
        self.reply("220 nexthop.example ESMTP")
        while True:
            line = self.line()
            if line is None:
                return
            verb = line.split(" ")[0].upper()
            if verb in ("MAIL", "RCPT"):
                with self.hop.lock:
                    self.hop.lines.append(line)
            if verb == "EHLO":
                lines = ["nexthop.example", *self.hop.extensions]
                for i, text in enumerate(lines):
                    self.reply("250%s%s" % ("-" if i + 1 < len(lines) else " ", text))
            elif verb == "MAIL":
                self.sender = address_of(line)
                self.recipients = []
                self.reply("250 2.1.0 Ok")
            elif verb == "RCPT":
                self.on_rcpt(address_of(line))
            elif verb == "DATA":
                if not self.on_data():
                    return
            elif verb == "RSET":
                self.recipients = []
                self.reply("250 2.0.0 Ok")
            elif verb == "QUIT":
                self.reply("221 2.0.0 Bye")
                return
            else:
                self.reply("250 2.0.0 Ok")

    def on_rcpt(self, address):
        with self.hop.lock:
            self.hop.offered.append(address)
        answer = self.hop.replies.get(address, "250 2.1.5 Ok")
        if answer.startswith("2"):
            self.recipients.append(address)
        self.reply(answer)

    def on_data(self):
        if not self.recipients:
            self.reply("554 5.5.1 No valid recipients")
            return True
        self.reply("354 Go ahead")
        body = self.read_body()
        if body is None:
            return False
        if self.hop.hold_final:
            self.wait()
        with self.hop.lock:
            answer = self.hop.final_replies.pop(0) if self.hop.final_replies else "250 2.0.0 Ok"
            self.hop.raw_bodies.append(body)
            if answer.startswith("2"):
                content = unstuff(body)
                self.hop.messages.append(
                    Received(self.sender, self.recipients, content, self.number))
        self.reply(answer)
        self.recipients = []
        return True

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
            limit = self.hop.drop_in_data_after
            if limit is not None and searched >= limit:
                self.hop.drop_in_data_after = None
                self.unfinished()
                return None
            limit = self.hop.hold_data_after
            if limit is not None and searched >= limit and not held:
                held = True
                self.wait()
            if not self.fill():
                self.unfinished()
                return None

    def unfinished(self):
        with self.hop.lock:
            self.hop.unfinished.append((list(self.recipients), bytes(self.buffer)))


def address_of(line):
    start = line.index("<")
    return line[start + 1: line.index(">", start)]


def unstuff(body):
    lines = body.split(b"\r\n")
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)
