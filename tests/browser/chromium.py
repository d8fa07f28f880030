"""A headless Chromium for tests, and what a page did in it."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def start():
    """A driver. Skips the test where there is no Chromium or no chromedriver."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    helper = shutil.which("chromedriver")
    if not browser or not helper:
        pytest.skip("no chromium with chromedriver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*_FLAGS, f"--user-data-dir={tempfile.mkdtemp(prefix='chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(helper))


class Page:
    """An open page."""

    def __init__(self, driver, file: Path, width=1000, theme="light"):
        self.driver = driver
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        theme = {"name": "prefers-color-scheme", "value": theme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
        for kind in ("browser", "performance"):
            driver.get_log(kind)  # of the page before
        driver.get(file.as_uri())

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def click(self, selector):
        self.driver.find_element("css selector", selector).click()

    def press(self, key):
        self.run("document.activeElement.blur()")
        self.driver.find_element("css selector", "body").send_keys(key)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def complaints(self):
        """Messages of the console, and requests other than for the page itself."""
        found = [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith("data:") and url != self.driver.current_url:
                    found.append(f"request for {url}")
        return found

    def overflows(self):
        """Elements wider than the window that do not scroll by themselves."""
        return self.run(
            """
            const wide = [];
            const limit = document.documentElement.clientWidth + 1;
            for (const one of document.querySelectorAll("body *")) {
              if (one.closest(".wide, pre, svg, [hidden]") || one.hidden) continue;
              const box = one.getBoundingClientRect();
              if (box.width && box.right > limit) {
                wide.push(one.tagName + "." + one.className + " " + box.right);
              }
            }
            if (document.documentElement.scrollWidth > limit) wide.push("the whole page");
            return wide;
            """
        )
