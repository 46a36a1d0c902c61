"""Who may do what on the page, and the end of a session (CASES S286, S288)."""

import http.client
import json

from daemon import wait_for


def token(relay, name, **more):
    return relay.post("/tokens", {"name": name, **more}).json


def test_a_revoked_token_ends_at_the_log_in(page, relay):
    made = token(relay, "ci", role="operator")
    page.log_in(made["secret"])
    page.see("ci operator", ".account")
    page.wanted_errors.append(r" 401 ")
    assert relay.request("DELETE", "/api/v1/tokens/%d" % made["id"]).status == 204
    page.see("The session is over. Please log in again.")
    page.log_in()


def test_a_reader_is_offered_nothing_to_change(page, relay):
    relay.allow("alice@example.com")
    page.log_in(token(relay, "look", role="reader")["secret"])
    for view in ("overview", "whitelist", "rules", "faults", "routes", "dropped"):
        page.go(view)
        page.see(view.capitalize(), "h1")
        wait_for(lambda: "Loading" not in page.text("main"), view)
        assert page.count("main button:not([hidden])") == 0, (view, page.text("main"))


def test_a_token_of_a_scope_sees_its_part(page, relay):
    relay.post("/whitelist", {"pattern": "shop.example", "scope": "shop"})
    relay.allow("other.example")
    page.log_in(token(relay, "shop", role="operator", scope="shop")["secret"])
    page.see("Whitelist", "nav")
    assert [name for name in ("Dropped", "Rules", "Faults", "Routes") if name in page.text("nav")] == []
    page.follow("Whitelist", "nav")
    page.see("shop.example", ".list")
    assert "other.example" not in page.text(".list")


def test_another_page_can_use_no_session(inside, relay):
    """What a browser adds by itself is not enough: the cookie without the rest."""
    cookies = inside.driver.execute_cdp_cmd("Network.getCookies", {"urls": [inside.base]})["cookies"]
    assert [(c["name"], c["httpOnly"], c["secure"], c["sameSite"], c["path"]) for c in cookies] == [
        ("__Host-stagepost", True, True, "Strict", "/")]
    cookie = "__Host-stagepost=" + cookies[0]["value"]
    for headers, status in (({}, 403), ({"Origin": inside.base[:-1]}, 403),
                            ({"Origin": "http://127.0.0.1:1"}, 403),
                            ({"Sec-Fetch-Site": "cross-site"}, 403)):
        connection = http.client.HTTPConnection("127.0.0.1", relay.api_port)
        connection.request("POST", "/api/v1/delivery/pause", json.dumps({}),
                           {"Cookie": cookie, "Content-Type": "application/json", **headers})
        assert connection.getresponse().status == status, headers
        connection.close()
    assert relay.get("/status")["delivering"]


def test_copy_as_curl_does_the_same(inside, relay):
    """The command is what the page would send, for a shell."""
    inside.driver.execute_cdp_cmd("Browser.grantPermissions", {
        "origin": inside.base, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    inside.follow("Whitelist", "nav")
    inside.click("Add an entry")
    inside.fill("Pattern", "o'hara@example.com", "dialog")
    inside.see("Matches 0", "dialog")
    inside.click("Copy as curl", "dialog")
    inside.see("The curl command is copied.", "#said")
    command = inside.driver.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], e => arguments[0](String(e)))")
    assert command == (
        "curl -sS -H \"Authorization: Bearer $STAGEPOST_TOKEN\" -H 'Content-Type: application/json' "
        "-d '{\"pattern\":\"o'\\''hara@example.com\",\"action\":\"allow\"}' "
        "'%sapi/v1/whitelist'" % inside.base)
    import subprocess
    done = subprocess.run(["sh", "-c", command], env={"STAGEPOST_TOKEN": relay.token, "PATH": "/usr/bin:/bin"},
                          capture_output=True, check=True)
    assert json.loads(done.stdout)["pattern"] == "o'hara@example.com"


def test_tokens_are_made_and_revoked(inside, relay):
    inside.follow("Tokens", "nav")
    inside.click("Make a token")
    inside.fill("Name", "ci", "dialog")
    inside.choose("Role", "operator", "dialog")
    inside.choose("Ends", "7d", "dialog")
    inside.click("Make", "dialog")
    inside.see("This is shown once", "dialog")
    secret = inside.text("dialog code")
    inside.click("Done", "dialog")
    inside.see("operator", "table")
    # When it was last used.
    assert inside.text("tbody tr td:nth-child(6)") == "never"
    assert secret not in inside.text()
    assert relay.request("GET", "/api/v1/session", token=secret).json["role"] == "operator"
    wait_for(lambda: all(t["last_used_at"] for t in relay.get("/tokens")["items"]), "the last use")
    inside.go("overview")
    inside.follow("Tokens", "nav")
    inside.see("ci", "tbody tr")
    inside.not_see("never", "tbody tr td:nth-child(6)")
    inside.click("Revoke ci")
    inside.click("Revoke", "dialog")
    inside.see("Revoked", "table")
    assert relay.request("GET", "/api/v1/session", token=secret).status == 401
    inside.follow("Audit", "nav")
    inside.see("token.revoke", "table")
    assert secret not in inside.text()


def test_settings_are_shown_without_secrets(page, make_daemon):
    relay = make_daemon(settings='delivery: {expire_after: 3d}\nroutes: [{name: r, hosts: ["127.0.0.1:1"], tls: implicit, '
                        'username: u, password: hunter2}]\n')
    page.begin(relay)
    page.log_in()
    page.follow("Settings", "nav")
    page.see("expire_after: 3d", "pre")
    assert "(hidden)" in page.text("pre") and "hunter2" not in page.text("pre")
    relay.config.write_text(relay.config.read_text().replace("3d", "4d"))
    relay.hup()
    wait_for(lambda: "the new configuration is in force" in relay.log(), "the reload")
    page.driver.refresh()
    page.see("expire_after: 4d", "pre")
