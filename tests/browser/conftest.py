"""Fixtures: a browser, and a site that shows what a test lets happen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from ..support.chromium import Watched, chromium
from .site import Site

expect.set_options(timeout=60_000)  # milliseconds; of its own accord it waits for five seconds


@pytest.fixture(scope="module")  # while it runs, no other test may run a loop in this thread
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


class Open:
    """Opens pages, and closes them at the end; a page that did what it should not is a failure."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser = browser
        self._site = site
        self.opened: list[Watched] = []

    def __call__(self, path: str = "/", **options: Any) -> Watched:
        watched = Watched(self._browser, self._site.address, **options)
        self.opened.append(watched)
        watched.page.goto(path)
        return watched


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Open]:
    opener = Open(browser, site)
    yield opener
    faults = [fault for watched in opener.opened for fault in watched.faults]
    for watched in opener.opened:
        watched.close()
    assert faults == []
