"""A policy hook that records every request as it came, and answers as a test says."""

import json
import re
import socket
import threading
import time


class Request:
    def __init__(self, head, body):
        self.head = head  # request line and fields, as bytes, without the empty line
        self.body = body
        self.at = time.monotonic()
        self.line, *lines = head.decode("latin-1").split("\r\n")
        self.fields = [tuple(line.split(": ", 1)) for line in lines]

    def __getitem__(self, name):
        return dict(self.fields).get(name)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def recipient(self):
        return self["X-Relay-Rcpt"]


def nginx(**fields):
    """An answer as scripts of nginx give it: nginx(Auth_Status="OK")."""
    text = "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n"
    for name, value in fields.items():
        text += "%s: %s\r\n" % (name.replace("_", "-"), value)
    return (text + "\r\n").encode()


OK = nginx(Auth_Status="OK")


def decisions(request, **verdicts):
    """A JSON answer: verdicts by local part, "deliver" for the others; a dict has more to say."""
    items = []
    for recipient in request.json["recipients"]:
        verdict = verdicts.get(recipient["address"].split("@")[0], "deliver")
        item = dict(verdict) if isinstance(verdict, dict) else {"verdict": verdict}
        if item["verdict"] is not None:
            items.append(dict(item, address=recipient["address"]))
    body = json.dumps({"recipients": items}).encode()
    return (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(body)) + body


class Hook:
    """
    `answer(request)` gives the bytes of an answer, None to close without one, or "hang".
    Connections stay open where the client asks for it.
    """

    def __init__(self, answer, port=0, path=None):
        self.answer = answer
        self.requests = []
        self.lock = threading.Lock()
        self.running = self.most_at_once = self.connections = 0
        self.released = threading.Event()
        self.wrap = lambda client: client  # in TLS, for one
        if path is not None:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.listener.listen(100)
        else:
            self.listener = socket.create_server(("127.0.0.1", port), backlog=200)
            self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return "http://127.0.0.1:%d/auth" % self.port

    def close(self):
        self.released.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def recipients(self):
        with self.lock:
            return [request.recipient for request in self.requests]

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            client = self.wrap(client)
            reader = client.makefile("rb")
            while self._serve_one(client, reader):
                pass
        except OSError:
            pass
        finally:
            client.close()

    def _serve_one(self, client, reader):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline()
            if not line:
                return False
            head += line
        length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
        request = Request(head[:-4], reader.read(int(length.group(1))) if length else b"")
        with self.lock:
            self.requests.append(request)
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
        try:
            answer = self.answer(request)
            if answer == "hang":
                self.released.wait(60)
                return False
            if answer is None:
                return False
            client.sendall(answer)
        finally:
            with self.lock:
                self.running -= 1
        return b"Content-Length" in answer and request.line.endswith("HTTP/1.1")
