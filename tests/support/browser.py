"""A real Chromium, driven over a pipe by its DevTools protocol: for tests of pages and for the screenshots.

No driver program and no WebSocket: `--remote-debugging-pipe` speaks JSON, each message ended by a NUL, on file
descriptors 3 and 4.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


# Puts the pipe where the browser wants it. The copies come first, lest one end overwrite the other.
_START = """
import os, sys
read, write = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]))
read, write = os.dup2(read, 200), os.dup2(write, 201)
os.dup2(read, 3), os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class BrowserFault(Exception):
    """Chromium answered with an error, or not in time."""


class Browser:
    """One Chromium with one page. Use it as a context manager."""

    def __init__(self, program: str | None = CHROMIUM) -> None:
        if program is None:
            raise BrowserFault("Chromium is not installed.")
        self._profile = Path(tempfile.mkdtemp(prefix="ims-browser-"))
        to_browser, self._writes = os.pipe()
        self._reads, from_browser = os.pipe()
        flags = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--hide-scrollbars"]
        flags += ["--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking"]
        flags += [f"--user-data-dir={self._profile}"]
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(to_browser), str(from_browser), program, *flags],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._last = 0
        self._session: str | None = None
        self.requests: list[str] = []
        """Address of everything the page asked for."""
        self.faults: list[str] = []
        """What the page's console reported as errors, refusals of the content policy included."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End Chromium and remove its profile."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._writes)
        os.close(self._reads)
        shutil.rmtree(self._profile, ignore_errors=True)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; returns its result."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise BrowserFault(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def open(self, address: str) -> None:
        """Go to an address and wait until it is loaded."""
        self.send("Page.navigate", url=address)
        self.wait_for(f"document.readyState === 'complete' && location.href !== 'about:blank' && {json.dumps(address)}")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise BrowserFault(str(result["exceptionDetails"].get("exception", {}).get("description")))
        return result["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 15) -> None:
        """Wait until an expression is true on the page, across a navigation."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.evaluate(f"Boolean({expression})"):
                    return
            except BrowserFault:
                if time.monotonic() > deadline:
                    raise
            if time.monotonic() > deadline:
                raise BrowserFault(f"Not within {seconds} s: {expression}")
            time.sleep(0.05)

    def look(self, *, width: int, height: int, dark: bool = False) -> None:
        """Size of the window in CSS pixels, and the system's theme."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[theme])

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Save the page as PNG, the whole of it or what the window shows."""
        clip: dict[str, Any] = {}
        if whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            clip["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _receive(self, seconds: float = 30) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._reads], [], [], seconds)[0]:
                raise BrowserFault(f"Chromium said nothing for {seconds} s.")
            part = os.read(self._reads, 1 << 20)
            if not part:
                raise BrowserFault("Chromium ended.")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.faults.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif message.get("method") == "Runtime.exceptionThrown":
            self.faults.append(str(parameters["exceptionDetails"].get("exception", {}).get("description")))
