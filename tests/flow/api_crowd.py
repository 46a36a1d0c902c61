"""
Many clients of the API at a time, in a process of their own so that they are in nobody's way but the
daemon's: api_crowd.py PORT COUNT, the token on standard input. Each asks, waits a little and asks
again; one that is sent away comes back. Prints "ready" when all have asked and some were
answered, and when standard
input ends: answers, refused.
"""

import random
import selectors
import socket
import sys
import time

PAUSE = 2.0
LIST = "GET /api/v1/messages?limit=20 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n"


class Client:
    def __init__(self, crowd, number):
        self.crowd = crowd
        self.source = ("127.0.0.%d" % (2 + number % 8), 0)
        self.socket = None
        self.answered = False
        self.ask_at = 0

    def ask(self):
        """What is not answered yet is waited for: the daemon takes so many connections and no more."""
        if self.socket is None:
            self.socket = socket.socket()
            self.socket.setblocking(False)
            self.socket.bind(self.source)
            self.socket.connect_ex(("127.0.0.1", self.crowd.port))
            self.crowd.selector.register(self.socket, selectors.EVENT_WRITE, self)
        elif self.answered:
            self.crowd.selector.modify(self.socket, selectors.EVENT_WRITE, self)
        self.answered = False
        self.ask_at = time.monotonic() + PAUSE * (0.5 + random.random())

    def go_on(self, events):
        try:
            if events & selectors.EVENT_WRITE:
                self.socket.send(self.crowd.request)
                self.crowd.selector.modify(self.socket, selectors.EVENT_READ, self)
                return
            words = self.socket.recv(65536)
        except OSError:
            words = b""
        if not words:
            self.leave()
            return
        self.answered = True
        self.crowd.answers += words.startswith(b"HTTP/1.1 200 ")

    def leave(self):
        self.crowd.refused += 1
        self.crowd.selector.unregister(self.socket)
        self.socket.close()
        self.socket = None


class Crowd:
    def __init__(self, port, count, token):
        self.port = port
        self.request = (LIST % token).encode()
        self.selector = selectors.DefaultSelector()
        self.clients = [Client(self, number) for number in range(count)]
        self.answers = self.refused = 0

    def go_on(self):
        """False: nobody wants them any more."""
        now = time.monotonic()
        for client in self.clients:
            if client.ask_at <= now:
                client.ask()
        for key, events in self.selector.select(0.02):
            if key.data is None:
                return False
            key.data.go_on(events)
        return True


def main():
    crowd = Crowd(int(sys.argv[1]), int(sys.argv[2]), sys.stdin.readline().strip())
    while crowd.answers < 100:
        crowd.go_on()
    print("ready", flush=True)
    crowd.selector.register(sys.stdin, selectors.EVENT_READ)
    while crowd.go_on():
        pass
    print(crowd.answers, crowd.refused, flush=True)


if __name__ == "__main__":
    main()
