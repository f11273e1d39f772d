"""Pages: each is whole, says what is so, and takes no name for anything but text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest

from event_monitor.metrics.levels import Level
from event_monitor.snapshot import (
    BrokerLink,
    OrphanedTask,
    RunningTask,
    ScheduledTask,
    Snapshot,
    TaskCounts,
    Window,
    WorkerLoss,
    WorkerState,
)
from event_monitor.status.report import Problem
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer
from event_monitor.web.app import make_app
from event_monitor.web.overview import problems_of
from event_monitor.web.past import Past
from event_monitor.web.verdict import verdict_of

from ..history.making import NOW, ended, shot
from .asking import get
from .making import live, snapshot, times, worker
from .test_api import Api

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}\u202e"
TRACEBACK = (
    b'"Traceback (most recent call last):\\n'
    b'  File \\"/app/shop.py\\", line 3, in pay\\n    boom()\\nValueError: no"'
)
PAGES = ("/", "/failures", "/tasks", "/queues", "/workers", "/schedules", "/incidents")


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api(queue_length_limits=(("*", (5.0, 10.0)),), http_links=(("Sentry", "https://s/{id}"),))
    api.clock.step_wall(NOW - api.clock.wall())
    yield api
    api.close()


def shown(api: Api, path: str, query: str = "") -> str:
    """Return the text of a page, as somebody reads it."""
    answer = get(api.app, path, query=query)
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    _, _, main = answer.text.partition("<main")
    text = re.sub(r"<[^>]+>", " ", main.partition("</main>")[0])
    return html.unescape(" ".join(text.split()))


def fill(api: Api, *, name: str = "shop.pay", queue: str = "pay", host: str = "celery@one") -> None:
    """Let there be something of everything, under these names."""
    hour = NOW // 3_600 * 3_600 - 3_600
    for at in (hour, NOW):
        counts = TaskCounts(succeeded=100, failed=3, runtime=times(1.0), queue_time=times(2.0))
        window = Window(
            at - 60,
            at,
            tasks=((name, counts),),
            by_queue=((queue, counts),),
            by_task_and_queue=((name, queue, counts),),
        )
        loss = WorkerLoss("celery@dead", 60.0, orphans=(OrphanedTask("o1", name),))
        survey = Survey(
            queues=(QueueDepth(queue, ready=11, unacked=1, consumers=2, oldest_seconds=372.0),),
            queues_age_seconds=1.0,
            workers=(
                WorkerAnswer(host, pool_processes=4, memory_bytes=212_000_000, queues=(queue,)),
            ),
        )
        one = Snapshot(
            window=window,
            workers=(worker(host, active=2), worker("celery@dead", WorkerState.LOST)),
            losses=(loss,),
            survey=survey,
            scheduled=(ScheduledTask(name, NOW - 500, NOW - 100, overdue_seconds=90.0),),
        )
        api.views(one)
        api.recorder.on_snapshot(one)
    of = {"name": name, "worker": host, "queue": queue}
    details = (("traceback", TRACEBACK), ("args", b'"(<b>,)"'))
    failed = ended("u1", "failed", retries=1, sent=NOW - 9, **of)
    api.recorder.on_tasks(
        [
            ended("u1", "retried", **of),
            failed._replace(exception=name, details=details),
            ended("u2", root="u1", parent="u1", retries=1, runtime=0.25, **of),
            ended("u3", root="u1", parent="u2", retries=1, **of),
        ]
    )
    api.recorder.flush()
    api.live = live(
        {(name, queue): TaskCounts(succeeded=4)},
        opened_at=NOW,
        taken_at=NOW + 5,
        running=(RunningTask("r1", name, host, NOW - 600),),
        running_count=1,
    )
    api.clock.advance(5)


def test_the_first_screen_says_what_matters_at_night(api: Api) -> None:
    """The verdict and since when, failures, changes, queues, what runs too long, workers."""
    fill(api)
    text = shown(api, "/")
    assert "Critical: queue pay: 11 waiting, the oldest for 6m 12s" in text
    assert "celery@dead is lost" in text
    assert "1 kind, 1 task" in text
    assert "app/shop.py:3 in pay" in text
    assert "celery@dead left 1 task unfinished" in text
    assert "pay 11 6m 12s 1 2 0 / 0" not in text  # no task-sent, so no rates are known
    assert "1 of 1 running" in text
    assert "shop.pay r1 on celery@one 10m 05s 95 %: 1 s" in text
    assert "1 online, 1 lost" in text
    assert "2/4 212 MB" in text
    assert "shop.pay overdue" in text
    assert "0 events lost in the last window" in text


def test_lists_lead_to_what_is_behind_them(api: Api) -> None:
    """Each page of one thing shows what is known of it."""
    fill(api)
    assert "ValueError" not in shown(api, "/failures", "name=other")
    assert "shop.pay" in shown(api, "/failures", "name=shop.pay")
    assert "2 frames" not in shown(api, "/task", "id=u1")
    task = shown(api, "/task", "id=u1")
    assert "failed" in task
    assert "after 1 retry" in task
    assert "line 3, in pay" in task
    assert "(<b>,)" in task
    called, _, followed = task.partition("It called")[2].partition("And these followed")
    assert "u2" in called
    assert "u3" not in called
    assert "u3" in followed
    assert "u2" not in followed
    assert "Sentry" in task
    assert "Called by u1" in shown(api, "/task", "id=u2")
    assert "Running for 10m" in shown(api, "/task", "id=r1")
    assert "celery@one" in shown(api, "/queue", "name=pay")
    assert "Runs now" in shown(api, "/worker", "name=celery@one")
    assert "r1" in shown(api, "/worker", "name=celery@one")
    assert "left 1 task unfinished" in shown(api, "/worker", "name=celery@dead")
    assert "r1" in shown(api, "/tasks", "state=running")
    assert "No such task runs" in shown(api, "/tasks", "state=running&name=x")
    assert "u1" in shown(api, "/tasks", "state=failed&text=shop")
    assert "no such worker" in shown(api, "/workers", "text=zzz")
    assert "celery@dead" in shown(api, "/workers", "state=lost")
    assert "no such queue" in shown(api, "/queues", "text=zzz")
    assert "o1" in shown(api, "/incidents")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there_before_the_first_shot(api: Api, path: str) -> None:
    """And says that nothing is known yet."""
    text = shown(api, path)
    assert path != "/" or "Unknown: no shot was taken yet" in text


@pytest.mark.parametrize("path", PAGES)
def test_without_a_history_it_is_said_how_to_have_one(api: Api, path: str) -> None:
    """What needs none is shown all the same."""
    fill(api)
    answer = get(make_app(api.views, Past(None), api.aside), path)
    needs_it = path in ("/failures", "/tasks", "/incidents")
    assert answer.status == (404 if needs_it else 200)
    assert ("o history is kept; set history = true." in answer.text) == (needs_it or path == "/")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        *((path, "") for path in PAGES),
        ("/task", "id=u1"),
        ("/queue", "name={}"),
        ("/worker", "name={}"),
        ("/tasks", "name={}&text={}&worker={}"),
        ("/failures", "name={}"),
        ("/workers", "text={}"),
    ],
)
def test_a_hostile_name_is_text(api: Api, path: str, query: str) -> None:
    """Wherever it is shown, in the page and in its links."""
    fill(api, name=HOSTILE, queue=HOSTILE, host=HOSTILE)
    answer = get(api.app, path, query=query.replace("{}", quote(HOSTILE)))
    assert answer.status == 200
    assert "<script>alert" not in answer.text
    assert "49" not in re.findall(r"\{\{|\b49\b", answer.text)
    assert "javascript:" not in answer.text
    for attribute in re.findall(r'(?:href|value|title|aria-label)="([^"]*)"', answer.text):
        assert "<" not in attribute


def test_a_lone_surrogate_in_a_name_is_no_end(api: Api) -> None:
    """It can be in what came as JSON."""
    api.views(snapshot(survey=Survey(queues=(QueueDepth("a\ud800", ready=1),))))
    assert get(api.app, "/queues").status == 200
    assert get(api.app, "/").status == 200


@pytest.mark.parametrize("path", ["/task", "/queue", "/worker", "/none", "/static/none.js"])
def test_what_is_not_there_is_a_page_too(api: Api, path: str) -> None:
    """With the way back."""
    answer = get(api.app, path, query="name=x&id=x")
    assert answer.status == 404
    assert "This cannot be shown" in answer.text
    assert 'href="/"' in answer.text


def test_a_wrong_filter_is_explained_on_the_page(api: Api) -> None:
    """In the sentence of the API."""
    answer = get(api.app, "/tasks", query="since=yesterday")
    assert answer.status == 400
    assert "Since must be a time, such as 2h (ago)" in answer.text


def test_pages_are_turned_with_their_filter(api: Api) -> None:
    """The address has all of it."""
    api.recorder.on_tasks([ended(f"u{number:02}", "failed") for number in range(60)])
    api.recorder.flush()
    first = get(api.app, "/tasks", query="state=failed&name=shop.pay").text
    link = html.unescape(re.findall(r'rel="next" href="([^"]*)"', first)[0])
    path, _, query = link.partition("?")
    assert path == "/tasks"
    assert "state=failed&name=shop.pay&before=" in query
    second = get(api.app, path, query=query).text
    shown_ids = re.findall(r'title="(u\d\d)"', first) + re.findall(r'title="(u\d\d)"', second)
    assert shown_ids == [f"u{number:02}" for number in reversed(range(60))]
    assert 'rel="next"' not in second


@pytest.mark.parametrize("name", ["page", "query", "prefix", "self"])
def test_a_filter_that_is_none_is_no_end(api: Api, name: str) -> None:
    """Whatever it is called: links of the page repeat it."""
    assert get(api.app, "/tasks", query=f"{name}=1").status == 200


def test_links_have_the_prefix() -> None:
    """A proxy passes it on."""
    api = Api(http_prefix="/celery")
    text = get(api.app, "/").text
    links = re.findall(r'(?:href|src|data-live-url)="([^"#]*)"', text)
    assert [link for link in links if not link.startswith("/celery/")] == []
    api.close()


def test_files_of_the_page_may_be_kept_by_the_browser(api: Api) -> None:
    """Under an address of their version."""
    page = get(api.app, "/").text
    (link,) = re.findall(r'"(/static/page\.js)\?v=[0-9a-f]{12}"', page)
    answer = get(api.app, link)
    assert (answer.status, answer.headers["content-type"]) == (
        200,
        "text/javascript; charset=utf-8",
    )
    assert answer.headers["cache-control"] == "private, max-age=86400"


def test_workers_that_may_be_heard_yet_are_unknown_not_none(api: Api) -> None:
    """A monitor over SQS that has just begun would be critical at each start."""
    found = verdict_of(
        replace(snapshot(opened_at=NOW - 60), has_heard_all=False), api.views.settings
    )
    assert (found.level, found.problems) == (
        Level.UNKNOWN,
        ("the monitor has not read for long enough to know the workers",),
    )


def test_what_is_wrong_now_outdoes_the_last_shot(api: Api) -> None:
    """A broker that went away since, and a monitor that is not well."""

    def problems() -> tuple[Level, tuple[Problem, ...]]:
        view = api.views.view()
        return problems_of(view, verdict_of(view.snapshot, api.views.settings))

    api.views(snapshot(workers=(worker("w@1"),), opened_at=NOW - 60))
    assert problems() == (Level.OK, ())
    api.live = live(link=BrokerLink.AWAY)
    level, found = problems()
    assert (level, [problem.sentence for problem in found]) == (
        Level.UNKNOWN,
        ["the broker is away"],
    )
    api.problem = "the last shot was 300 s ago."
    level, found = problems()
    assert (level, found[0].sentence) == (Level.UNKNOWN, "the last shot was 300 s ago")
    assert "Unknown: the last shot was 300 s ago" in shown(api, "/")


def test_a_worker_that_was_lost_long_ago_is_no_verdict_any_more(api: Api) -> None:
    """It stays among the incidents."""
    gone = worker("w@2", WorkerState.LOST, silent_seconds=7_200.0)
    api.views(snapshot(workers=(worker("w@1"), gone)))
    assert "All is well" in shown(api, "/")
    api.views(shot(workers=(worker("w@1"), worker("w@2", WorkerState.LOST))))
    assert "Warning: w@2 is lost" in shown(api, "/")


def test_a_worker_that_falls_silent_is_a_warning_before_the_shot_that_finds_it_lost(
    api: Api,
) -> None:
    """With the time since which the page says so; one that is lost is told once."""
    api.views(snapshot(workers=(worker("w@1"), worker("w@2")), opened_at=NOW - 60))
    api.live = live(silent=(("w@2", 65.0),))
    assert "Warning: w@2 is silent for 1m 05s since" in shown(api, "/")
    api.clock.advance(30)
    assert "( 30s )" in shown(api, "/")
    lost = worker("w@2", WorkerState.LOST)
    api.views(snapshot(workers=(worker("w@1"), lost), opened_at=NOW))
    text = shown(api, "/")
    assert "Warning: w@2 is lost" in text
    assert "is silent" not in text


def test_the_rules_of_status_count_here_too(api: Api) -> None:
    """A task that runs far too long, and failures that are too many."""
    minute = NOW // 60 * 60 - 120
    counts = (("shop.pay", TaskCounts(succeeded=84, failed=16, runtime=times(1.0))),)
    api.recorder.on_snapshot(Snapshot(window=Window(minute, minute + 60, tasks=counts)))
    api.recorder.flush()
    api.views(snapshot(workers=(worker("w@1"),), opened_at=NOW - 60))
    failing = "16 % of shop.pay failed in the last 10 minutes (16 of 100)"
    assert f"Warning: {failing}" in shown(api, "/")

    running = RunningTask("r1", "shop.pay", "w@1", NOW - 600)
    api.live = live(opened_at=NOW, taken_at=NOW, running=(running,), running_count=1)
    too_long = "shop.pay has been running for 10m 00s on w@1, where 99 % take 1s at most"
    assert api.get("/api/v1/status")["problems"] == [too_long, failing]
