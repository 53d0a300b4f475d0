"""A headless Chromium, driven over its DevTools protocol: what a person does with a page and sees."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
    "--window-size=1400,900", "about:blank",
)  # fmt: skip
HOW_TO_GET_IT = "no Chromium here (Debian: `apt-get install chromium`)"


LEFT = ("Inspected target navigated or closed", "Execution context was destroyed", "Cannot find context")


class PageLeft(Exception):
    """The page went away while it was asked something."""


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One DevTools command; events that arrive meanwhile are passed over.  Errors: PageLeft."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == number:
                if str(message.get("error", {}).get("message")).startswith(LEFT):
                    raise PageLeft
                assert "error" not in message, message
                return message["result"]

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.enable")
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression: str, *, timeout_s: float = 30) -> Any:
        """The first true value of an expression, in this page or the one that it leads to."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            with suppress(PageLeft):
                value = self.evaluate(expression)
                if value:
                    return value
                self.evaluate("new Promise(done => setTimeout(done, 100))")
        raise AssertionError(f"never true in the page: {expression}")


def chromium() -> str | None:
    """The program, where there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def page(profile: Path) -> Iterator[Page]:
    """A fresh browser with one tab; needs `chromium()`."""
    program = chromium()
    assert program is not None, HOW_TO_GET_IT
    process = subprocess.Popen(
        [program, f"--user-data-dir={profile}", *FLAGS], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port_file = profile / "DevToolsActivePort"
        end = time.monotonic() + 30
        while not (port_file.is_file() and port_file.read_text().strip()):
            assert time.monotonic() < end, "Chromium does not start"
            time.sleep(0.05)
        port = port_file.read_text().split()[0]
        tabs = httpx2.get(f"http://127.0.0.1:{port}/json/list").json()
        tab = next(each for each in tabs if each["type"] == "page")
        with connect(tab["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(20)
