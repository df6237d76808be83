"""Chromium for tests of pages. The DevTools protocol goes through pipes: messages of JSON that end with a zero byte."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needed = pytest.mark.skipif(
    CHROMIUM is None or sys.platform == "win32", reason="no Chromium here (Debian: apt install chromium)"
)


class Tab:
    """A page in a browser. `errors` holds what it wrote to the console, and its uncaught exceptions."""

    def __init__(self, to, answers):
        self.to, self.answers, self.number, self.session, self.errors = to, answers, 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for part in ("Page", "Runtime", "Log"):
            self.call(f"{part}.enable")

    def call(self, method, **params):
        """The result of a method of the protocol."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while True:
            answer = json.loads(self._next())
            if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                self.errors.append(answer["params"])
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self):
        part = b""
        while not part.endswith(b"\0"):
            byte = self.answers.read(1)
            assert byte, "the browser ended"
            part += byte
        return part[:-1]

    def open(self, url):
        self.call("Page.navigate", url=url)

    def size(self, width, height=900, scheme="light"):
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def value(self, expression):
        """The value of an expression of JavaScript. Promises are awaited."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression, seconds=20):
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while True:
            if self.value(f"Boolean({expression})"):
                return
            assert time.monotonic() < end, f"never true: {expression}\n{self.value('document.body.innerText')}"
            time.sleep(0.02)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key):
        code = {"Enter": 13, "ArrowDown": 40, "ArrowRight": 39, "Escape": 27, "Tab": 9}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            extra = text if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **extra)

    def picture(self, path):
        """Write a picture of the whole page."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))


@contextlib.contextmanager
def tab(folder):
    """A Tab of a new headless browser, whose profile is in a folder."""
    to_browser, to_tests = os.pipe(), os.pipe()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    # Chromium reads from descriptor 3 and writes to descriptor 4.
    moved = ["bash", "-c", f'exec "$@" 3<&{to_browser[0]} 4>&{to_tests[1]}', "bash"]
    with open(to_browser[1], "wb") as to, open(to_tests[0], "rb") as answers:
        browser = subprocess.Popen(
            [*moved, CHROMIUM, *options],
            pass_fds=(to_browser[0], to_tests[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(to_tests[1])
        try:
            opened = Tab(to, answers)
            yield opened
            opened.session = None
            opened.call("Browser.close")
            browser.wait(20)
        finally:
            browser.kill()
            browser.wait()
