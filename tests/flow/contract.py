"""The OpenAPI document as a judge: which requests it tells of, and whether an answer is one that it
promises. What it uses of JSON Schema is all here; a keyword that is not known is a mistake, so that
none is passed over."""

import http.client
import json
import re

DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}
# They say something to people only.
WORDS = {"description", "default", "examples", "title"}


class Document:
    def __init__(self, document):
        self.document = document

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"].split("/")[1:]:
                target = target[part]
            node = target
        return node

    def operations(self):
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield Operation(self, path, method.upper(), operation)

    # --- schemas -------------------------------------------------------------------

    def mistakes(self, schema, value, where=""):
        """Why `value` is not what the schema tells of, as sentences. Members that an object's schema
        does not name are mistakes, unless it says that there may be others."""
        schema = self.resolve(schema)
        found = []
        for keyword in schema:
            check = getattr(self, "_" + keyword, None)
            if keyword in WORDS or keyword in ("required", "additionalProperties"):
                continue
            assert check is not None, "no such keyword is known here: %s at %s" % (keyword, where)
            found += check(schema, value, where)
        if "properties" in schema and isinstance(value, dict):
            found += self._others(schema, value, where)
        return found

    def _type(self, schema, value, where):
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if any(TYPES[name](value) for name in names):
            return []
        return ["%s is %r instead of %s" % (where, value, " or ".join(names))]

    def _properties(self, schema, value, where):
        found = []
        if isinstance(value, dict):
            for name, inner in schema["properties"].items():
                if name in value:
                    found += self.mistakes(inner, value[name], "%s/%s" % (where, name))
                elif name in schema.get("required", []):
                    found.append("%s/%s is missing" % (where, name))
        return found

    def _others(self, schema, value, where):
        others = set(value) - set(schema["properties"])
        allowed = schema.get("additionalProperties", False)
        if allowed is False:
            return ["%s/%s is not told of" % (where, name) for name in others]
        found = []
        if isinstance(allowed, dict):
            for name in others:
                found += self.mistakes(allowed, value[name], "%s/%s" % (where, name))
        return found

    def _items(self, schema, value, where):
        found = []
        if isinstance(value, list):
            for number, item in enumerate(value):
                found += self.mistakes(schema["items"], item, "%s/%d" % (where, number))
        return found

    def _enum(self, schema, value, where):
        return [] if value in schema["enum"] else ["%s is %r" % (where, value)]

    def _const(self, schema, value, where):
        return [] if value == schema["const"] else ["%s is %r" % (where, value)]

    def _format(self, schema, value, where):
        if schema["format"] == "date-time" and isinstance(value, str) and not DATE_TIME.match(value):
            return ["%s is no time: %r" % (where, value)]
        return []

    def _limit(self, fits, where, value):
        return [] if fits else ["%s is out of its limits: %r" % (where, value)]

    def _minimum(self, schema, value, where):
        return self._limit(not TYPES["number"](value) or value >= schema["minimum"], where, value)

    def _maximum(self, schema, value, where):
        return self._limit(not TYPES["number"](value) or value <= schema["maximum"], where, value)

    def _maxLength(self, schema, value, where):
        return self._limit(not isinstance(value, str) or len(value) <= schema["maxLength"], where,
                           value)

    def _minItems(self, schema, value, where):
        return self._limit(not isinstance(value, list) or len(value) >= schema["minItems"], where,
                           value)

    def _maxItems(self, schema, value, where):
        return self._limit(not isinstance(value, list) or len(value) <= schema["maxItems"], where,
                           value)

    def _pattern(self, schema, value, where):
        return self._limit(not isinstance(value, str) or re.search(schema["pattern"], value), where,
                           value)

    def _anyOf(self, schema, value, where):
        branches = [self.mistakes(branch, value, where) for branch in schema["anyOf"]]
        return [] if any(not branch for branch in branches) else sum(branches, [])

    def _oneOf(self, schema, value, where):
        branches = [self.mistakes(branch, value, where) for branch in schema["oneOf"]]
        fitting = sum(not branch for branch in branches)
        if fitting == 1:
            return []
        return sum(branches, ["%s fits %d of the kinds there are" % (where, fitting)])


class Operation:
    def __init__(self, document, path, method, operation):
        self.document = document
        self.path = path
        self.method = method
        self.operation = operation
        self.id = operation["operationId"]
        self.role = operation["x-role"]
        self.whole_relay = operation["x-whole-relay"]
        self.body = operation.get("requestBody")
        self.body_limit = operation.get("x-body-limit", 0)

    def __str__(self):
        return "%s %s" % (self.method, self.path)

    def parameters(self, place):
        return [p for p in self.operation.get("parameters", []) if p["in"] == place]

    def fill(self, value):
        """The path with something in place of {…}; a tuple has something for each."""
        values = list(value) if isinstance(value, tuple) else [value] * 9
        return re.sub(r"\{[a-z]*\}", lambda _: str(values.pop(0)), self.path)

    @property
    def types(self):
        return list(self.body["content"]) if self.body else []

    @property
    def body_schema(self):
        return self.document.resolve(self.body["content"]["application/json"]["schema"])

    def mistakes(self, reply):
        """What the document does not tell of this reply."""
        if str(reply.status) not in self.operation["responses"]:
            return ["%d is not told of: %s" % (reply.status, reply.body[:300])]
        told = self.document.resolve(self.operation["responses"][str(reply.status)])
        found = ["%s is missing with %d" % (name, reply.status)
                 for name in told.get("headers", {}) if name not in reply.headers]
        content = told.get("content", {})
        kind = (reply.headers.get("Content-Type") or "").split(";")[0]
        if not content:
            return found + (["%d has a body" % reply.status] if reply.body else [])
        if kind not in content:
            return found + ["%d has the type %r" % (reply.status, kind)]
        if kind.endswith("json"):
            found += ["%d: %s" % (reply.status, mistake) for mistake in
                      self.document.mistakes(content[kind]["schema"], json.loads(reply.body))]
        return found


class Reply:
    def __init__(self, response, limit=None):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read(limit) if limit else response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Caller:
    """Requests that are what they are told to be, on a connection that is kept where it can be."""

    def __init__(self, port, token=None):
        self.port = port
        self.token = token
        self.connection = None

    def __call__(self, method, path, body=None, headers=(), read=None):
        """`body`: bytes. `read`: so much of an answer that does not end."""
        send = {"Authorization": "Bearer " + self.token} if self.token else {}
        send.update(headers)
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection, self.connection = self.connection, None
        try:
            connection.request(method, path, body, send)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: the answer is there
        response = connection.getresponse()
        reply = Reply(response, read)
        if reply.headers.get("Connection") == "close" or read:
            connection.close()
        else:
            self.connection = connection
        return reply

    def json(self, method, path, value, headers=()):
        return self(method, path, json.dumps(value).encode(),
                    {"Content-Type": "application/json", **dict(headers)})
