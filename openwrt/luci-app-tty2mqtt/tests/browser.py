"""A headless Chromium, asked over a pipe in the DevTools protocol."""

import base64
import json
import os
import select
import subprocess
import tempfile
import time

# Seconds that an answer or an event on a page may take.
DEADLINE = 20


class Browser:
    def __init__(self):
        self.profile = tempfile.TemporaryDirectory()
        to_read, self.to_browser = os.pipe()
        self.from_browser, to_write = os.pipe()
        # The descriptors 3 and 4 are the protocol's.
        command = (
            f"exec chromium-headless-shell --remote-debugging-pipe --no-sandbox --disable-gpu"
            f" --no-first-run --disable-background-networking --user-data-dir={self.profile.name}"
            f" 3<&{to_read} 4>&{to_write} {to_read}<&- {to_write}>&-"
        )
        self.process = subprocess.Popen(
            ["bash", "-c", command], pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self.id = 0
        self.rest = b""
        self.events = []

    def close(self):
        self.process.terminate()
        self.process.wait(DEADLINE)
        os.close(self.to_browser)
        os.close(self.from_browser)
        self.profile.cleanup()

    def call(self, method, session=None, **params):
        self.id += 1
        message = {"id": self.id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + DEADLINE
        while True:
            message = self.message(end)
            if message.get("id") == self.id:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]
            if "method" in message:
                self.events.append(message)

    def message(self, end):
        while b"\0" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.from_browser], [], [], left)[0]:
                raise AssertionError("the browser does not answer")
            self.rest += os.read(self.from_browser, 1 << 20)
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def page(self, url, width=1100, height=900):
        return Page(self, url, width, height)


class Page:
    """A page; what goes wrong in its scripts is in `errors()`."""

    def __init__(self, browser, url, width, height):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime"]:
            self.call(f"{domain}.enable")
        self.size(width, height)
        self.open(url)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def size(self, width, height):
        self.width = width
        mobile = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=mobile,
        )

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait(f"location.href == {json.dumps(url)} && document.querySelector('#view')?.dataset.ready")

    def js(self, expression):
        """The value of an expression, or of the promise that it is."""
        result = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, condition):
        """Until the condition is true; its value. A page that is just being replaced has none yet."""
        end = time.monotonic() + DEADLINE
        look = f"""new Promise((done) => {{
            const started = performance.now();
            const look = () => {{
                const found = {condition};
                const value = typeof(found) == 'object' ? !!found : found;
                if (value || performance.now() - started > 1000) done(value);
                else setTimeout(look, 20);
            }};
            look();
        }})"""
        while time.monotonic() < end:
            try:
                value = self.js(look)
            except AssertionError as error:
                if "navigated" not in str(error) and "context" not in str(error):
                    raise
                continue
            if value:
                return value
        text = self.js("document.body.innerText")
        raise AssertionError(f"never: {condition}\nThe page says:\n{text}")

    def text(self, selector="#maincontent"):
        return self.js(f"document.querySelector({json.dumps(selector)}).innerText")

    def says(self, text, selector="#maincontent"):
        """Waits until the text stands there."""
        self.wait(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})")

    def click(self, label, within="body"):
        """Presses the button with this label."""
        self.wait(
            f"[...document.querySelectorAll({json.dumps(within + ' button')})]"
            f".some((b) => b.innerText.trim() == {json.dumps(label)} && !b.disabled && (b.click(), true))"
        )

    def enter(self, selector, value):
        """Types into a field, or chooses."""
        self.js(
            f"(() => {{ const field = document.querySelector({json.dumps(selector)});"
            f" field.value = {json.dumps(value)};"
            f" field.dispatchEvent(new Event('input')); field.dispatchEvent(new Event('change')); }})()"
        )

    def shot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 4000), "scale": 1}
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(image["data"]))

    def errors(self):
        """What scripts threw and what dialogues they opened."""
        self.js("1")
        wrong = ("Runtime.exceptionThrown", "Page.javascriptDialogOpening")
        mine = [e for e in self.browser.events if e.get("sessionId") == self.session]
        console = [
            e for e in mine
            if e["method"] == "Runtime.consoleAPICalled" and e["params"]["type"] == "error"
        ]
        return [e["params"] for e in mine if e["method"] in wrong] + [e["params"]["args"] for e in console]

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
