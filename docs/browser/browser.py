"""Chromium by its own protocol, without a screen: pages, what they log and ask for, and what they say to JavaScript."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from websockets.sync.client import connect

#: Without the last ones Chromium asks its makers for updates at every start.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]


class Browser:
    """One tab of a Chromium with an empty profile."""

    def __init__(self, profile: Path) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            pytest.fail("no Chromium: apt-get install chromium")
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = profile / "DevToolsActivePort"
        until = time.monotonic() + 60
        while not (port.exists() and port.read_text().count("\n")):
            assert time.monotonic() < until, "Chromium does not start"
            time.sleep(0.1)
        number = port.read_text().split("\n")[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{number}/json/list") as answer:
            (page,) = (each for each in json.load(answer) if each["type"] == "page")
        self._stack = ExitStack()
        self._socket = self._stack.enter_context(connect(page["webSocketDebuggerUrl"], max_size=None))
        self._calls = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._process.terminate()
        self._process.wait(30)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what happens meanwhile is noted."""
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._calls:
                assert "error" not in message, message
                return dict(message["result"])
            self.events.append(message)

    def open(self, url: str, width: int = 1440, height: int = 1000) -> None:
        """Go to a page in a window of this size, and wait until all of it is there."""
        self.events.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def until(self, condition: str, seconds: float = 30) -> None:
        """Wait until something holds in the page."""
        end = time.monotonic() + seconds
        while not self.ask(condition):
            assert time.monotonic() < end, f"never so: {condition}"
            time.sleep(0.1)

    def ask(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def complaints(self) -> list[str]:
        """Return errors and warnings of the console, exceptions and failed requests since the page was opened."""
        found = []
        for event in self.events:
            kind, what = event["method"], event["params"]
            if kind == "Runtime.exceptionThrown":
                found.append(what["exceptionDetails"]["text"])
            elif kind == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
                found.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
            elif kind == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
                found.append(str(what["args"]))
            elif kind == "Network.loadingFailed" and not what.get("canceled"):
                found.append(what["errorText"])
        return found

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the page was opened."""
        sent = (event for event in self.events if event["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]
