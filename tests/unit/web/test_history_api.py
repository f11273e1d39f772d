"""History API: what is over, as `openapi.json` says, and as the history has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from event_monitor.history import Recorder
from event_monitor.snapshot import (
    BrokerLink,
    OrphanedTask,
    RunningTask,
    ScheduledTask,
    Snapshot,
    TaskCounts,
    Window,
    WorkerLoss,
)
from event_monitor.survey import QueueDepth, Survey
from event_monitor.web.app import make_app
from event_monitor.web.past import Past

from ..history.making import NOW, PLACE, ended, shot
from .asking import get
from .making import live, snapshot
from .test_api import Api


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    api.clock.step_wall(NOW - api.clock.wall())
    yield api
    api.close()


def test_runs_are_paged_and_filtered(api: Api) -> None:
    """By all that the page filters by; the next page begins where the last one ended."""
    api.recorder.on_tasks(
        [
            ended("a", "failed", worker="w@1"),
            ended("b", "failed", name="mail.send", queue="mail"),
            ended("c", "retried"),
        ]
    )
    api.recorder.flush()

    def ids(query: str) -> list[str]:
        return [run["id"] for run in api.get("/api/v1/tasks", query)["items"]]

    assert ids("") == ["c", "b", "a"]
    assert ids("state=failed") == ["b", "a"]
    assert ids("state=failed&state=retried&name=shop.pay") == ["c", "a"]
    assert ids("worker=w%401") == ["a"]
    assert ids("queue=mail") == ["b"]
    assert ids("text=MAIL") == ["b"]
    assert ids("exception=ValueError&place=" + PLACE.replace(" ", "%20")) == ["c", "b", "a"]
    assert ids("since=1h") == ["c", "b", "a"]
    assert ids("until=1h") == []
    page = api.get("/api/v1/tasks", "limit=2")
    assert [run["id"] for run in page["items"]] == ["c", "b"]
    assert ids(f"limit=2&before={page['next']}") == ["a"]
    assert {kept["state"]: kept["ended"] for kept in page["kept"]} == {"failed": 2, "retried": 1}


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/failures", "/api/v1/series"])
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("since=yesterday", "since must be a time, such as 2h (ago), 2026-01-31T12:00 or "),
        ("limit=0", "limit must be from 1 to 1,000"),
        ("state=lost", "state must be one of succeeded, failed, "),
        ("before=-1", "before must be what another answer gave to go on with"),
        ("span=week", "span must be minute or hour"),
        ("name=a&queue=b", "say name or queue, not both"),
    ],
)
def test_what_is_wrong_with_a_question_is_said(
    api: Api, path: str, query: str, sentence: str
) -> None:
    """In one sentence, by whatever asks for that."""
    answer = get(api.app, path, query=query)
    if answer.status == 200:  # this one does not ask for it
        assert path not in ("/api/v1/tasks",) or query.startswith(("span", "name"))
    else:
        assert (answer.status, str(answer.json()["error"])[: len(sentence)]) == (400, sentence)


def test_a_task_has_its_runs_and_its_children(api: Api) -> None:
    """And says whether it runs; one that is not known is not found."""
    api.recorder.on_tasks([ended("a", "retried"), ended("a", "failed", retries=1)])
    api.recorder.on_tasks([ended("b", root="a", parent="a", retries=1)])
    api.recorder.flush()
    api.live = live(running=(RunningTask("r/1", "x", None, NOW - 5),), taken_at=NOW)
    task = api.get("/api/v1/tasks/a", described_as="/api/v1/tasks/{id}")
    assert [run["state"] for run in task["runs"]] == ["retried", "failed"]
    assert [run["id"] for run in task["children"]] == ["b"]
    assert task["running"] is None
    running = api.get("/api/v1/tasks/r/1", described_as="/api/v1/tasks/{id}")["running"]
    assert running["age_seconds"] == 5.0
    missing = api.get("/api/v1/tasks/none", described_as="/api/v1/tasks/{id}")
    assert missing == {"error": "nothing is known of this task"}


def test_failures_are_counted_exactly(api: Api) -> None:
    """By task, exception and place."""
    api.recorder.on_tasks([ended(f"u{number}", "failed") for number in range(5)])
    api.recorder.flush()
    (group,) = api.get("/api/v1/failures", "since=1h")["items"]
    assert (group["name"], group["exception"], group["place"]) == ("shop.pay", "ValueError", PLACE)
    assert (group["count"], group["recent"], group["last_id"]) == (5, 5, "u4")
    assert api.get("/api/v1/failures", "name=other")["items"] == []


def test_series_and_incidents_are_those_of_the_history(api: Api) -> None:
    """Of all tasks, of a name, and of a queue."""
    counts = TaskCounts(sent=7, failed=2)
    window = Window(NOW - 60, NOW, tasks=(("shop.pay", counts),), by_queue=(("pay", counts),))
    loss = WorkerLoss("w@1", 90.0, orphans=(OrphanedTask("u1", "shop.pay"),))
    survey = Survey(queues=(QueueDepth("pay", ready=2**60, consumers=1),))
    api.recorder.on_snapshot(shot(window=window, losses=(loss,), survey=survey))
    api.recorder.flush()
    (point,) = api.get("/api/v1/series")["tasks"]
    assert (point["sent"], point["failed"], point["orphaned"]) == (7, 2, 1)
    assert api.get("/api/v1/series", "name=other")["tasks"] == []
    by_queue = api.get("/api/v1/series", "queue=pay&span=hour")
    assert by_queue["span_seconds"] == 3_600
    assert [point["sent"] for point in by_queue["tasks"]] == [7]
    assert [point["ready"] for point in by_queue["queue"]] == [str(2**60)]
    (incident,) = api.get("/api/v1/incidents")["items"]
    assert (incident["kind"], incident["subject"], incident["tasks"]) == (
        "tasks-orphaned",
        "w@1",
        1,
    )
    assert api.get("/api/v1/incidents", "open=1")["items"] == []


def test_a_schedule_that_was_never_seen_is_not_judged(api: Api) -> None:
    """Null is what is not known."""
    scheduled = (
        ScheduledTask("b", None, NOW - 50, overdue_seconds=50.0),
        ScheduledTask("a", NOW - 100, NOW - 40, overdue_seconds=40.0),
    )
    api.views(snapshot(scheduled=scheduled))
    items = api.get("/api/v1/schedules")["items"]
    assert [(item["name"], item["overdue_seconds"]) for item in items] == [("a", 40.0), ("b", None)]


@pytest.mark.parametrize("what", ["tasks", "failures", "incidents", "series", "tasks/u1"])
def test_without_a_history_it_is_said_how_to_have_one(api: Api, what: str) -> None:
    """It is a setting, and not an error of the server's."""
    app = make_app(api.views, Past(None), api.aside)
    answer = get(app, f"/api/v1/{what}")
    assert answer.status == 404
    assert answer.json() == {"error": "no history is kept; set history = true."}


def test_a_history_that_cannot_be_read_is_no_end(api: Api) -> None:
    """It may come back; everything else is answered."""
    app = make_app(api.views, Past(Recorder(api.views.settings).reader), api.aside)
    answer = get(app, "/api/v1/tasks")
    assert (answer.status, answer.json()) == (503, {"error": "the history is not open."})
    assert get(app, "/api/v1/status").status == 200
    api.views(Snapshot(window=Window(0, 60), link=BrokerLink.AWAY))
