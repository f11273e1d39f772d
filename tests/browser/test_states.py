"""States: the first screen says what is so, to everybody, whatever the state of things is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from event_monitor.snapshot import RunningTask
from event_monitor.survey import QueueDepth

from ..support.chromium import is_wider_than_its_window, violations
from . import site as states
from .conftest import Open
from .site import Site

pytestmark = pytest.mark.integration

STATES: list[tuple[Callable[[Site], None], str, list[str]]] = [
    (states.all_well, "All is well", ["Nothing has failed in the last hour."]),
    (
        states.worker_lost,
        "Warning: celery@pay-7f9c is lost",
        ["celery@pay-7f9c left 3 tasks unfinished", "1 online, 1 lost", "3 tasks unfinished"],
    ),
    (
        states.queue_growing,
        "Critical: queue pay: 1,204 waiting, the oldest for 6m 12s",
        ["grows", "nobody reads it", "9.1 / 5.8"],
    ),
    (
        states.failures,
        "Warning: shop.pay has been running for 48m 00s on celery@pay-1, "
        "where 99 % take 8s at most",
        ["sync-stock is overdue", "2 kinds, 13 tasks", "GatewayTimeout(7)", "95 %: 500 ms"],
    ),
    (states.just_started, "Unknown: no shot was taken yet", ["no shot yet"]),
    (states.broker_away, "Unknown: the broker is away", ["the broker is away"]),
    (states.data_stale, "Unknown: the monitor's last shot was 540 s ago", ["9m "]),
]


def faults_in_every_light(page: Page) -> list[str]:
    """Return what somebody cannot read or reach in the light, in the dark, or on a phone."""
    faults = violations(page)
    page.emulate_media(color_scheme="dark")
    faults += violations(page)
    page.set_viewport_size({"width": 390, "height": 800})
    faults += violations(page)
    return [*faults, *(["it is wider than a phone"] if is_wider_than_its_window(page) else [])]


@pytest.mark.parametrize(
    ("state", "headline", "facts"), STATES, ids=[state.__name__ for state, _, _ in STATES]
)
def test_the_first_screen(
    site: Site, open_page: Open, state: Callable[[Site], None], headline: str, facts: list[str]
) -> None:
    """The verdict, the facts behind it; readable in the light, in the dark, and on a phone."""
    state(site)
    page = open_page("/").page
    page.get_by_text("live", exact=True).wait_for()
    assert page.locator("h1").inner_text() == headline
    text = page.locator("main").inner_text()
    assert [fact for fact in facts if fact not in text] == []
    assert faults_in_every_light(page) == []


PAGES = [
    *("/failures", "/tasks", "/tasks?state=running", "/task?id=task-3", "/queues"),
    *("/queue?name=pay", "/workers", "/worker?name=celery@pay-1", "/schedules", "/incidents"),
    "/none",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_other_page(site: Site, open_page: Open, path: str) -> None:
    """It has a heading, and is for everybody, too."""
    states.worker_lost(site)
    states.failures(site)
    watched = open_page(path)
    assert watched.page.locator("h1").count() == 1
    assert faults_in_every_light(watched.page) == []
    if path == "/none":  # a browser says by itself that an answer is a 404
        watched.faults.clear()


HOSTILE = "<img src=x onerror=alert(1)>\"'<script>alert(2)</script>" + "W" * 200


def test_hostile_names_do_nothing(site: Site, open_page: Open) -> None:
    """They are long, too: nothing gets wider for them."""
    site.show(
        workers=(states.worker(HOSTILE, active=2**60),),
        survey=states.survey(QueueDepth(HOSTILE, ready=60, consumers=1)),
    )
    site.end(states.failed(1, HOSTILE, exception=HOSTILE, place=HOSTILE, queue=HOSTILE))
    site.run(RunningTask(HOSTILE, HOSTILE, HOSTILE, site.now - 90))
    page = open_page("/", viewport={"width": 390, "height": 800}).page
    paths = [link.get_attribute("href") or "" for link in page.locator("main a").all()]
    assert len(paths) > 5
    for path in dict.fromkeys(paths):
        page.goto(path)
        assert page.locator("script").count() == 4
        assert page.locator("main img").count() == 0
        assert not is_wider_than_its_window(page), path
