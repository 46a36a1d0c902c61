"""
Chromium, driven as a person would: by what stands on the page. It resolves no name, and what it asks
for is written down, so that a test sees it when a message makes it ask for anything.
"""

import json
import pathlib
import re
import shutil
import tempfile
import urllib.parse

from daemon import wait_for

try:
    from selenium import webdriver
    from selenium.common.exceptions import NoAlertPresentException, StaleElementReferenceException
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = None

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--lang=en-GB"]
NAMED = """
const [css, name, inside] = arguments;
const nameOf = e => e.getAttribute("aria-label") ||
    (e.labels && e.labels.length > 0 ? e.labels[0].innerText : e.innerText || e.placeholder || "");
for (const place of document.querySelectorAll(inside))
    for (const e of place.querySelectorAll(css))
        if (e.checkVisibility() && nameOf(e).replace(/\\s+/g, " ").trim() === name)
            return e;
return null;
"""
PATHS = re.compile(r"/($|web/|api/v1/)")


def why_not():
    """The reason why there are no browser tests here, or None."""
    if webdriver is None:
        return "python3-selenium is not installed"
    if not CHROMIUM or not DRIVER:
        return "chromium and chromium-driver are not installed"
    return None


class Browser:
    def __init__(self, width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix="stagepost-web-")
        options = Options()
        options.binary_location = CHROMIUM
        for flag in [*FLAGS, "--user-data-dir=" + self.profile,
                     "--window-size=%d,%d" % (width, height)]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.width, self.height = width, height
        self.relay = None
        self.base = None
        self.wanted_errors = []

    def quit(self):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    # --- a test ------------------------------------------------------------------

    def begin(self, relay, base=None):
        self.relay = relay
        self.base = base or "http://127.0.0.1:%d/" % relay.api_port
        self.wanted_errors = [r"/api/v1/session - .* 401"]
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.emulate()
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self.driver.get(self.base)
        self.see("Token")

    def end(self):
        """Nothing was asked of anybody else, no script of a message ran, nothing went wrong."""
        try:
            self.driver.switch_to.alert.accept()
            raise AssertionError("a dialog of the browser came up")
        except NoAlertPresentException:
            pass
        strange = [url for url in self.requests() if not self.is_ours(url)]
        assert not strange, strange
        errors = [line["message"] for line in self.driver.get_log("browser")
                  if line["level"] == "SEVERE"
                  and not any(re.search(want, line["message"]) for want in self.wanted_errors)]
        assert not errors, errors
        assert self.driver.execute_script(
            "return [localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]

    def requests(self):
        """Addresses of all that was asked for since the last call."""
        urls = []
        for line in self.driver.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                urls.append(message["params"]["request"]["url"])
        return urls

    def is_ours(self, url):
        parts = urllib.parse.urlsplit(url)
        return url.startswith("about:") or url.startswith("blob:" + self.base) or (
            url.startswith(self.base) and PATHS.match(parts.path) is not None)

    def emulate(self, width=None, height=None, dark=False):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width or self.width, "height": height or self.height,
            "deviceScaleFactor": 1, "mobile": width is not None and width < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def screenshot(self, path):
        pathlib.Path(path).write_bytes(self.driver.get_screenshot_as_png())

    # --- looking -----------------------------------------------------------------

    def text(self, css="body"):
        return self.script("return document.querySelector(arguments[0])?.innerText || ''", css)

    def see(self, text, css="body"):
        try:
            wait_for(lambda: text in self.text(css), "it")
        except AssertionError:
            raise AssertionError("%r is not in %s: %s" % (text, css, self.text(css))) from None

    def not_see(self, text, css="body"):
        wait_for(lambda: text not in self.text(css), "%r to go from %s" % (text, css))

    def find(self, css):
        """The one that is shown, once there is one."""
        return wait_for(lambda: self.script(
            "return [...document.querySelectorAll(arguments[0])].find(e => e.checkVisibility())", css), "an element %s on: %s" % (css, self.text()[:2000]))

    def count(self, css):
        return len(self.driver.find_elements(By.CSS_SELECTOR, css))

    def named(self, css, name, inside="body"):
        """The one that is shown with this label or text."""
        return wait_for(lambda: self.script(NAMED, css, name, inside),
                        "%s %r in: %s" % (css, name, self.text(inside)[:2000]))

    def script(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    # --- doing -------------------------------------------------------------------

    def go(self, place):
        self.script("location.hash = arguments[0]", "#/" + place)

    def _again(self, act):
        """What is redrawn between the look and the act is looked for again."""
        def tried():
            try:
                act()
                return True
            except StaleElementReferenceException:
                return False
        wait_for(tried, "an element that stays")

    def click(self, name, inside="body", tag="button"):
        def act():
            element = self.named(tag, name, inside)
            self.script("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
        self._again(act)

    def follow(self, name, inside="body"):
        self.click(name, inside, "a")

    def fill(self, label, value, inside="body"):
        """A field, or the entry of a select."""
        field = self.named("input, textarea", label, inside)
        field.clear()
        field.send_keys(value)

    def choose(self, label, value, inside="body"):
        self.script("arguments[0].value = arguments[1];"
                    "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));"
                    "arguments[0].dispatchEvent(new Event('change', {bubbles: true}));",
                    self.named("select", label, inside), value)

    def keys(self, *keys):
        chain = ActionChains(self.driver)
        for key in keys:
            chain = chain.send_keys(getattr(Keys, key, key))
        chain.perform()

    def log_in(self, token=None):
        self.fill("Token", token or self.relay.token)
        self.click("Log in")
        self.see("What can leave")

    # --- what a screen reader gets -------------------------------------------------

    def unnamed(self):
        """Things to act on that have no name."""
        tree = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        acting = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "tab", "dialog",
                  "spinbutton", "img", "image", "navigation", "region"}
        return [node["role"]["value"] for node in tree if not node.get("ignored")
                and node.get("role", {}).get("value") in acting
                and not node.get("name", {}).get("value", "").strip()]

    def focused(self):
        return self.driver.switch_to.active_element
