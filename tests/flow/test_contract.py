"""The API is what its OpenAPI document says: each operation is asked in the right way and in the
wrong ones (CASES S280, S285, S294, S301, S302, S307), and each answer must be one that is promised.

An operation without a sample fails: that is how a new route is noticed.
"""

import pytest
from contract import Caller, Document
from contract_samples import SAMPLES, SETTINGS, World, samples_of

ROLES = ["none", "reader", "operator", "admin"]
NO_SUCH_ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def relay(make_daemon, hop):
    return make_daemon(hop.address, SETTINGS)


@pytest.fixture
def document(relay):
    return Document(relay.get("/openapi.json"))


@pytest.fixture
def caller(relay):
    return Caller(relay.api_port, relay.token)


def complain(mistakes):
    assert not mistakes, "\n".join(mistakes)


# --- the document by itself ------------------------------------------------------------------------


def promised(operation):
    """The refusals that every operation of its kind can answer."""
    codes = {"400", "421"}
    if operation.role != "none":
        codes |= {"401", "403", "429", "503"}
    if operation.body:
        codes |= {"413", "415"}
    if operation.parameters("path"):
        codes |= {"404"}
    if any(p["name"] == "If-Match" for p in operation.parameters("header")):
        codes |= {"412"}
    return codes


def test_the_document_leaves_nothing_out(document):
    """Role, limit and schema of everything; a refusal is a problem document."""
    mistakes = []
    names = set()
    for operation in document.operations():
        told = operation.operation
        responses = {code: document.resolve(r) for code, r in told["responses"].items()}
        missing = promised(operation) - set(responses)
        if missing:
            mistakes.append("%s: nothing about %s" % (operation, " ".join(sorted(missing))))
        if operation.id in names:
            mistakes.append("%s: another one is called %s" % (operation, operation.id))
        names.add(operation.id)
        if not told.get("summary") or not told.get("tags") or operation.role not in ROLES:
            mistakes.append("%s: summary, tags or role" % operation)
        if bool(operation.body) != (operation.body_limit > 0):
            mistakes.append("%s: a body has a limit, and nothing else has" % operation)
        if operation.body and not all("schema" in c for c in operation.body["content"].values()):
            mistakes.append("%s: a body without a schema" % operation)
        if not any(code.startswith("2") for code in responses):
            mistakes.append("%s: never succeeds" % operation)
        for code, response in responses.items():
            kinds = response.get("content", {})
            if int(code) >= 400 and set(kinds) != {"application/problem+json"} and not (
                    operation.path == "/readyz" and code == "503"):
                mistakes.append("%s: %s is no problem document" % (operation, code))
            if int(code) < 300 and code != "204" and not all("schema" in c for c in kinds.values()):
                mistakes.append("%s: %s without a schema" % (operation, code))
            if int(code) < 300 and code != "204" and not kinds:
                mistakes.append("%s: %s without content" % (operation, code))
        for parameter in told.get("parameters", []):
            if "schema" not in parameter:
                mistakes.append("%s: %s without a schema" % (operation, parameter["name"]))
    complain(mistakes)


# --- samples ---------------------------------------------------------------------------------------


def test_every_sample_is_of_an_operation(document):
    asked = {operation.id for operation in document.operations()}
    assert asked - set(SAMPLES) == set()
    assert set(SAMPLES) - asked == set()


# --- what is right ---------------------------------------------------------------------------------

# CASES S294
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def careless(reply):
    """Headers that a browser needs and that are not there."""
    found = [name for name, value in ALWAYS.items() if reply.headers.get(name) != value]
    if reply.headers.get("Cache-Control") == "no-cache" and reply.headers.get("ETag"):
        found.remove("Cache-Control")  # the page, which holds no data
    policy = reply.headers.get("Content-Security-Policy") or ""
    if "frame-ancestors" not in policy or "default-src" not in policy:
        found.append("Content-Security-Policy")
    if "Access-Control-Allow-Origin" in reply.headers:
        found.append("Access-Control-Allow-Origin")
    return found


def test_what_is_right_is_answered_as_promised(document, relay, caller):
    world = World(relay)
    mistakes = []
    for operation in document.operations():
        for make in samples_of(operation):
            sample = make(world)
            reply = sample.send(caller, operation)
            found = operation.mistakes(reply)
            if reply.status != sample.want:
                found.append("%d instead of %d: %s" % (reply.status, sample.want, reply.body[:300]))
            found += ["%s is missing or wrong" % name for name in careless(reply)]
            mistakes += ["%s: %s" % (operation, mistake) for mistake in found]
    complain(mistakes)


# --- who may ---------------------------------------------------------------------------------------


def refused(operation, reply, *want):
    """Mistakes of a reply that is to be one of these refusals."""
    found = operation.mistakes(reply)
    if reply.status not in want:
        found.append("%d instead of %s: %s" % (reply.status, want, reply.body[:300]))
    found += ["%s is missing or wrong" % name for name in careless(reply)]
    return ["%s: %s" % (operation, mistake) for mistake in found]


def test_S280_nobody_gets_in_without_a_token(document, relay):
    """429 comes behind the tenth (S284)."""
    mistakes = []
    callers = [Caller(relay.api_port), Caller(relay.api_port, "stp_" + 43 * "0")]
    for operation in document.operations():
        for caller in callers if operation.role != "none" else []:
            reply = caller(operation.method, operation.fill(NO_SUCH_ULID))
            mistakes += refused(operation, reply, 401, 429)
            if reply.status == 401 and reply.headers["WWW-Authenticate"] != 'Bearer realm="stagepost"':
                mistakes.append("%s: no WWW-Authenticate" % operation)
    complain(mistakes)


def test_S285_each_role_may_what_it_may(document, relay):
    """One below is refused, whatever is asked; the role itself is not. A token with a scope is
    refused where all of the relay is concerned."""
    mistakes = []
    callers = {}
    for role in ROLES[1:]:
        made = relay.post("/tokens", {"name": role + "-1", "role": role}).json
        callers[role] = Caller(relay.api_port, made["secret"])
    made = relay.post("/tokens", {"name": "shop", "role": "admin", "scope": "shop"}).json
    scoped = Caller(relay.api_port, made["secret"])
    lines = len(relay.all_items("/audit?limit=1000"))
    for operation in document.operations():
        path = operation.fill(NO_SUCH_ULID)
        for role in ROLES[1:ROLES.index(operation.role)]:
            mistakes += refused(operation, callers[role](operation.method, path), 403)
        if operation.role != "none":
            reply = callers[operation.role](operation.method, path + "?no-such-thing=1")
            mistakes += refused(operation, reply, 400)
        if operation.whole_relay:
            mistakes += refused(operation, scoped(operation.method, path), 403)
        elif operation.role != "none":
            reply = scoped(operation.method, path + "?no-such-thing=1")
            mistakes += refused(operation, reply, 400)
    complain(mistakes)
    assert len(relay.all_items("/audit?limit=1000")) == lines


# --- what is wrong ---------------------------------------------------------------------------------

JSON = {"Content-Type": "application/json"}
DEEP = 100000
# CASES S302
NO_BODIES = [b"", b"{", b"null", b"[]", b'"x"', b"1", b"{} {}", b"{}x", b"{// c\n}", b"\xef\xbb\xbf{}",
             b'{"a": 1e400}', b'{"a": 9223372036854775808}', b'{"a": "\xff"}', b'{"a": "\\ud800"}',
             b'{"a": 1, "a": 2}', b'{"a": nul}', b"[" * DEEP, b'{"a":' * DEEP,
             b'{"a":' * 40 + b"1" + b"}" * 40]


def may_be_right(operation, body):
    """Nothing, where there need be nothing; an empty array, where a list is wanted."""
    if body == b"":
        return not operation.body["required"]
    return body == b"[]" and not operation.document.mistakes(operation.body_schema, [])


def wrong_values(schema):
    """Values that a member with this schema can't have."""
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    if not types:
        return []
    values = [value for kind, value in (("object", {"a": 1}), ("array", [[]]), ("boolean", True),
                                        ("integer", 1), ("string", "\x00")) if kind not in types]
    if "integer" in types:
        values += [1.5, -0.5]
        values += [schema[name] + step for name, step in (("minimum", -1), ("maximum", 1))
                   if name in schema]
    if "enum" in schema:
        values.append("no-such-thing")
    if "maxLength" in schema:
        values.append("x" * (schema["maxLength"] + 1))
    if "string" in types:
        values.append("a\x07b")
    return values


def bodies_with_one_mistake(operation):
    schema = operation.body_schema
    yield {"no-such-member": 1}
    for name, inner in schema.get("properties", {}).items():
        for value in wrong_values(operation.document.resolve(inner)):
            yield {name: value}
    if operation.body["required"] and schema.get("required"):
        yield {}


def wrong_parameters(operation):
    yield "no-such-thing=1"
    yield "%00=1"
    yield "a=%ff"
    yield "a=%zz"
    for parameter in operation.parameters("query"):
        name, schema = parameter["name"], operation.document.resolve(parameter["schema"])
        yield "%s=%%ff" % name
        yield "%s=a%%00" % name
        yield "%s=1&%s=1" % (name, name)
        if schema.get("type") == "integer":
            yield from ("%s=%s" % (name, v) for v in ("x", "-1", "1e3", "0x1", "9" * 30))
        if schema.get("type") == "boolean":
            yield from ("%s=%s" % (name, v) for v in ("1", "yes", "TRUE"))
        if "maximum" in schema:
            yield "%s=%d" % (name, schema["maximum"] + 1)
        if "enum" in schema:
            yield "%s=no-such-thing" % name
        if "maxLength" in schema:
            yield "%s=%s" % (name, "x" * (schema["maxLength"] + 1))
    if any(p["name"] == "after" for p in operation.parameters("query")):
        yield from ("after=" + cursor for cursor in ("x", "6d", "0" * 46, "ff" * 21, "-1"))


def test_what_is_wrong_is_refused_as_promised(document, relay, caller):
    """And it changes nothing: the trail has no line of it."""
    mistakes = []
    lines = len(relay.all_items("/audit?limit=1000"))
    for operation in document.operations():
        path = operation.fill(NO_SUCH_ULID)
        for query in wrong_parameters(operation):
            reply = caller(operation.method, path + "?" + query)
            mistakes += ["?%s: %s" % (query[:60], m) for m in refused(operation, reply, 400)]
        if operation.parameters("path"):
            for value in (NO_SUCH_ULID, "x", "-1", "0", "9" * 30):
                reply = caller(operation.method, operation.fill(value),
                               b"{}" if operation.body else None, JSON if operation.body else {})
                mistakes += ["%s: %s" % (value, m) for m in refused(operation, reply, 404)]
    complain(mistakes)
    assert len(relay.all_items("/audit?limit=1000")) == lines


def test_S302_bodies_that_are_wrong_are_refused_as_promised(document, relay, caller):
    mistakes = []
    world = World(relay)
    # What it is about is there: only the body is wrong.
    paths = [(operation, operation.fill(samples_of(operation)[0](world).id))
             for operation in document.operations() if "application/json" in operation.types]
    lines = len(relay.all_items("/audit?limit=1000"))
    for operation, path in paths:
        headers = {**JSON, "If-Match": "*"}
        for body in NO_BODIES:
            if may_be_right(operation, body):
                continue
            reply = caller(operation.method, path, body[:operation.body_limit], headers)
            mistakes += ["%r: %s" % (body[:40], m) for m in refused(operation, reply, 400)]
        for body in bodies_with_one_mistake(operation):
            reply = caller.json(operation.method, path, body, headers)
            mistakes += ["%s: %s" % (str(body)[:60], m) for m in refused(operation, reply, 400)]
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
            reply = caller(operation.method, path, b"{}", {"Content-Type": kind})
            mistakes += ["%s: %s" % (kind, m) for m in refused(operation, reply, 415)]
    complain(mistakes)
    assert len(relay.all_items("/audit?limit=1000")) == lines


def test_S301_a_body_over_its_limit_is_refused(document, relay, caller):
    """With its length, and in chunks that never tell it."""
    mistakes = []
    for operation in document.operations():
        path = operation.fill(NO_SUCH_ULID)
        for length in (operation.body_limit + 1, 1 << 30, (1 << 63) - 1):
            reply = caller(operation.method, path, None,
                           {**JSON, "Content-Length": str(length), "Connection": "close"})
            mistakes += ["%d: %s" % (length, m) for m in refused_too_large(operation, reply)]
        if 0 < operation.body_limit <= 1 << 20:
            size = operation.body_limit + 1
            reply = caller(operation.method, path, iter([b" " * size]),
                           {**JSON, "Connection": "close"})
            mistakes += ["chunked: %s" % m for m in refused_too_large(operation, reply)]
    complain(mistakes)


def refused_too_large(operation, reply):
    """413 is told of where there is a body; elsewhere any body is too large."""
    if operation.body:
        return refused(operation, reply, 413)
    return [] if reply.status == 413 else ["%s: %d" % (operation, reply.status)]


def test_S285_a_path_answers_its_methods_and_no_other(document, caller):
    mistakes = []
    for path, methods in document.document["paths"].items():
        allowed = {method.upper() for method in methods}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - allowed:
            reply = caller(method, path.replace("{", "").replace("}", ""))
            told = {m.strip() for m in (reply.headers.get("Allow") or "").split(",")}
            if reply.status != 405 or told != allowed or careless(reply):
                mistakes.append("%s %s: %d, %s" % (method, path, reply.status, told))
    complain(mistakes)
