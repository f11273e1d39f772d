"""Viewers: people at pages and a Prometheus, as a process: ``python -m tests.bench.viewers URL``.

Each viewer holds the stream of live numbers open, as the page's script does, and asks for his page
again after a new number, every five seconds at most. When stdin is closed, it prints what each
path took, in milliseconds, as JSON.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

#: What the viewers look at, one each.
PAGES = (
    *("/", "/", "/tasks", "/tasks?state=failed", "/failures", "/queues", "/workers"),
    *("/incidents", "/api/v1/status", "/api/v1/failures"),
)
LIVE, SCRAPED = "/api/v1/live", "/metrics"
_PAGE_SECONDS, _SCRAPE_SECONDS = 5.0, 5.0
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Took:
    """How long the answers to one path took, in milliseconds."""

    path: str
    answers: int
    median: float
    p95: float


def took(path: str, milliseconds: list[float]) -> Took:
    """Return the median and the 95th percentile of at least one answer."""
    ordered = sorted(milliseconds)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.95)]
    return Took(path, len(ordered), *at)


class Client:
    """One connection that is kept alive; made anew when it is closed."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_ANSWER_SECONDS)

    def ask(self, path: str) -> float:
        """Return how many milliseconds the answer took. Raises for any but 200."""
        began = time.monotonic()
        headers = {"Accept": "application/openmetrics-text"} if path == SCRAPED else {}
        try:
            self._connection.request("GET", path, headers=headers)
            answer = self._connection.getresponse()
            answer.read()
        except OSError:
            self.close()
            raise
        if answer.status != 200:
            raise RuntimeError(f"{path} is answered with {answer.status}")
        return 1_000 * (time.monotonic() - began)

    def stream(self, path: str) -> http.client.HTTPResponse:
        """Return an answer that does not end."""
        self._connection.request("GET", path)
        return self._connection.getresponse()

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _view(url: str, path: str, times: dict[str, list[float]], *, number: int) -> None:
    """Look at a page until the monitor is gone; each viewer in his own moment."""
    live, client = Client(url).stream(LIVE), Client(url)
    asked_at = time.monotonic() - _PAGE_SECONDS * number / len(PAGES)
    for line in live:
        if line.startswith(b"data:") and time.monotonic() - asked_at >= _PAGE_SECONDS:
            asked_at = time.monotonic()
            times[path].append(client.ask(path))


def _scrape(url: str, times: dict[str, list[float]]) -> None:
    client = Client(url)
    while True:
        times[SCRAPED].append(client.ask(SCRAPED))
        time.sleep(_SCRAPE_SECONDS)


def main(url: str) -> None:
    """Look until stdin is closed."""
    times: dict[str, list[float]] = {path: [] for path in (*PAGES, SCRAPED)}
    targets = [partial(_view, url, path, times, number=n) for n, path in enumerate(PAGES)]
    for target in (*targets, partial(_scrape, url, times)):
        threading.Thread(target=target, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        sys.stdin.read()
    print(json.dumps({path: found for path, found in times.items() if found}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
