"""policy.breaker, pauses as everybody sees them, and /metrics."""

import json
import re
import signal
import subprocess
import time

import pytest

from daemon import STAGEPOST, Smtp, wait_for

MESSAGE = b"Subject: flood\r\n\r\nhello\r\n"
SAMPLE = re.compile(r'^([a-z_:][a-z0-9_:]*)(\{([a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[0-9.]+)$')


def send(relay, count, to="ann@allowed.test"):
    with Smtp(relay.smtp_port) as client:
        return [client.send("a@shop.test", [to], MESSAGE) for _ in range(count)]


def tool(relay, *arguments):
    done = subprocess.run([STAGEPOST, *arguments, "--data-dir", relay.data_dir],
                          capture_output=True, check=True)
    return done.stdout.decode()


def metrics(relay):
    """Sample to value; and the format is what Prometheus reads."""
    answer = relay.request("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found, types, helped = {}, {}, set()
    text = answer.body.decode()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in helped and len(line.split(" ", 3)[3]) > 5
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram") and name not in types
            assert (kind == "counter") == name.endswith("_total")
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            family = match.group(1)
            if family not in types:
                family = re.sub("_(bucket|sum|count)$", "", family)
                assert types[family] == "histogram", line
            assert family in helped
            sample = match.group(1) + (match.group(2) or "")
            assert sample not in found
            found[sample] = float(match.group(4))
    return found


def test_breaker(make_daemon, hop):
    relay = make_daemon(hop.address, "policy: {breaker: {recipients_per_minute: 5}}\n")
    relay.allow("allowed.test")
    assert relay.get("/status")["delivery"] == {
        "paused": False, "paused_by": None, "paused_at": None, "reason": None, "routes": [],
        "breaker": {"recipients_per_minute": 5, "recipients_per_day": 0, "last_minute": 0,
                    "last_day": 0, "tripped": False}}
    messages = send(relay, 8)
    status = wait_for(lambda: [s for s in [relay.get("/status")] if s["delivery"]["paused"]],
                      "the breaker")[0]
    reason = "breaker: 6 recipients in 60 s, limit 5 (recipients_per_minute)"
    assert status["delivery"]["reason"] == reason
    assert status["delivery"]["paused_by"] == "breaker"
    assert status["delivering"] is False
    assert any(reason in warning for warning in status["warnings"])
    assert relay.request("GET", "/readyz", token=None).status == 200
    wait_for(lambda: len(hop.snapshot()) == 5, "what the limit allows")
    # Every answer about delivery says so.
    left = [m for m in messages if "delivered" not in relay.states(m).values()]
    wait_for(lambda: sum("delivered" in relay.states(m).values() for m in messages) == 5, "five")
    left = [m for m in messages if "delivered" not in relay.states(m).values()]
    for answer in (relay.post("/messages/%s/hold" % left[0], {}),
                   relay.post("/messages/%s/release" % left[0], {}),
                   relay.get("/routes"), relay.get("/messages/%s" % left[0])):
        answer = getattr(answer, "json", answer)
        assert answer["delivery"]["paused"] and answer["delivery"]["reason"] == reason
    assert reason in tool(relay, "status")
    numbers = metrics(relay)
    assert numbers["stagepost_delivery_paused"] == 1
    assert numbers["stagepost_breaker_tripped"] == 1
    assert numbers["stagepost_breaker_trips_total"] == 1
    assert numbers['stagepost_offered_recipients{window="minute"}'] == 5
    assert numbers['stagepost_breaker_limit{window="minute"}'] == 5
    assert numbers['stagepost_attempts_total{route="test",outcome="delivered"}'] == 5
    assert numbers['stagepost_queue_recipients{state="queued"}'] == 3
    assert numbers["stagepost_queue_oldest_age_seconds"] >= 0
    assert numbers["stagepost_accepted_messages_total"] == 8
    assert numbers["stagepost_log_lines_lost_total"] == 0
    assert relay.log().count("delivery is paused") == 1
    # A restart changes nothing of it, a person does.
    relay.restart()
    assert relay.get("/status")["delivery"]["breaker"]["tripped"]
    assert len(hop.offered) == 5
    assert "goes on" in tool(relay, "resume")
    for message in messages:
        relay.wait_states(message, {"ann@allowed.test": "delivered"})
    assert len(hop.offered) == 8
    status = relay.get("/status")
    assert status["delivering"] and not status["delivery"]["breaker"]["tripped"]
    assert [line["action"] for line in relay.get("/audit")["items"]
            if line["actor"] == "breaker"] == ["delivery.pause"]


def test_what_a_kill_leaves(make_daemon, hop):
    """The day's count, and the pause with its reason."""
    relay = make_daemon(hop.address, "policy: {breaker: {recipients_per_day: 4}}\n")
    relay.allow("allowed.test")
    for message in send(relay, 3):
        relay.wait_states(message, {"ann@allowed.test": "delivered"})
    time.sleep(2.5)  # it is written down each second
    relay.kill()
    relay.start()
    assert relay.get("/status")["delivery"]["breaker"]["last_day"] == 3
    messages = send(relay, 2)
    wait_for(lambda: relay.get("/status")["delivery"]["paused"], "the breaker")
    relay.kill()
    relay.start()
    delivery = relay.get("/status")["delivery"]
    assert delivery["breaker"]["tripped"] and delivery["paused_by"] == "breaker"
    assert delivery["reason"] == "breaker: 5 recipients in 24 h, limit 4 (recipients_per_day)"
    relay.post("/delivery/resume")
    for message in messages:
        relay.wait_states(message, {"ann@allowed.test": "delivered"})
    assert relay.get("/status")["delivery"]["breaker"]["last_day"] <= 2


def test_pause_by_a_person(relay, hop):
    relay.allow("allowed.test")
    assert "stands still" in tool(relay, "pause", "--reason", "load test")
    assert "stands still" in tool(relay, "pause", "test")
    message = send(relay, 1)[0]
    relay.restart()
    delivery = relay.get("/status")["delivery"]
    assert (delivery["paused"], delivery["reason"], delivery["routes"]) == (
        True, "load test", ["test"])
    assert delivery["paused_by"].startswith("socket:")
    assert json.loads(tool(relay, "resume", "--json"))["delivery"]["paused"] is False
    route = relay.get("/routes")["items"][0]
    assert route["paused"] and route["paused_by"].startswith("socket:")
    answer = relay.post("/messages/%s/hold" % message, {}).json
    assert not answer["delivery"]["paused"] and answer["delivery"]["routes"] == ["test"]
    assert metrics(relay)['stagepost_route_paused{route="test"}'] == 1
    relay.post("/messages/%s/release" % message, {})
    assert not hop.offered
    assert "test goes on" in tool(relay, "resume", "test")
    relay.wait_states(message, {"ann@allowed.test": "delivered"})
    with pytest.raises(subprocess.CalledProcessError):
        tool(relay, "pause", "nosuch")


def test_metrics_need_a_token(relay):
    assert relay.request("GET", "/metrics", token=None).status == 401
    numbers = metrics(relay)
    assert numbers["stagepost_start_time_seconds"] > 1e9
    assert numbers["stagepost_queue_messages"] == 0


def complete(relay, *arguments):
    """Both outputs of the tool together."""
    done = subprocess.run([STAGEPOST, *arguments, "--data-dir", relay.data_dir],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    return done.stdout.decode()


def test_whoever_asks_is_told_of_a_pause(relay, hop):
    """Wherever somebody looks why mail does not leave: who paused it, and why."""
    relay.allow("allowed.test")
    tool(relay, "pause", "--reason", "database moves")
    message = send(relay, 1)[0]
    for path in ("/messages", "/recipients", "/messages/" + message):
        assert relay.get(path)["delivery"]["reason"] == "database moves"
    for words in (["queue", "list"], ["queue", "show", message], ["queue", "retry", message],
                  ["queue", "hold", message], ["queue", "release", message], ["status"]):
        assert re.search("paused by socket:[0-9]+ .* ago: database moves", complete(relay, *words))
    tool(relay, "pause", "test", "--reason", "load test")
    tool(relay, "resume")
    wait_for(lambda: "waits for" in complete(relay, "queue", "list"), "the route's pause")
    for words in (["queue", "list"], ["queue", "show", message]):
        assert re.search("waits for route test: it is paused by socket:[0-9]+: load test",
                         complete(relay, *words).replace("\n", " "))
    assert re.search("Route +test paused by socket:[0-9]+ .* ago: load test",
                     complete(relay, "status"))
    assert "paused" not in complete(relay, "queue", "retry", message)
    tool(relay, "resume", "test")
    relay.wait_states(message, {"ann@allowed.test": "delivered"})
    assert "paused" not in complete(relay, "queue", "list") + complete(relay, "status")


def test_many_routes(make_daemon):
    """Each of them is shown, and is paused and resumed; also one that is there no more."""
    def routes(names):
        return "routes: [%s]\n" % ", ".join(
            '{name: %s, domains: [%s.test], hosts: ["127.0.0.1:1"], tls: none}' % (name, name)
            for name in names)

    names = ["r%d" % i for i in range(150)]
    relay = make_daemon(None, routes(names))
    relay.post("/routes/r149/pause", {"reason": "why not"})
    assert [route["name"] for route in relay.get("/routes")["items"]] == names
    assert relay.get("/status")["delivery"]["routes"] == ["r149"]
    assert metrics(relay)['stagepost_route_paused{route="r149"}'] == 1
    relay.write_config(routes(names[:2]))
    relay.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(relay.get("/routes")["items"]) == 2, "the new configuration")
    relay.post("/routes/r149/pause", {}, want=(404,))
    relay.post("/routes/r149/resume", {})
    relay.post("/routes/r149/resume", {}, want=(404,))
    relay.write_config(routes(names))
    relay.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(relay.get("/routes")["items"]) == 150, "the old one again")
    assert relay.get("/status")["delivery"]["routes"] == []
