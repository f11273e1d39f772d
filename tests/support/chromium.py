"""Chromium: a real browser, and a watch over what it complains about and whom it asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from .servers import missing

_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser without a window."""
    command = shutil.which("chromium") or missing("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, and all that it should not do. ``options`` are those of a browser context."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        self.address = address
        self.faults: list[str] = []
        self._context = browser.new_context(base_url=address, **options)
        self._context.set_default_timeout(30_000)
        self.page = self._context.new_page()
        self.page.on("console", lambda message: self.faults.append(f"said {message.text!r}"))
        self.page.on("pageerror", lambda error: self.faults.append(f"raised {error}"))
        self.page.on("dialog", lambda dialog: self.faults.append(f"opened {dialog.message!r}"))
        self.page.on("request", lambda request: self._judge(request.url))

    def _judge(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.address).netloc and not url.startswith("data:"):
            self.faults.append(f"asked {url}")

    def allow(self, permission: str) -> None:
        """Let the page do this."""
        self._context.grant_permissions([permission])

    def close(self) -> None:
        """Close the page."""
        self._context.close()


def violations(page: Page) -> list[str]:
    """Return what somebody could not see, hear or reach, by the rules of axe."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html']} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


def is_wider_than_its_window(page: Page) -> bool:
    """Return whether one has to scroll sideways."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    return wide
