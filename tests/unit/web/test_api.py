"""API: each answer is as `openapi.json` says, and says what is so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from event_monitor.history import Recorder
from event_monitor.snapshot import (
    BrokerLink,
    Role,
    RunningTask,
    TaskCounts,
    WorkerState,
)
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer
from event_monitor.web.app import make_app
from event_monitor.web.aside import Aside
from event_monitor.web.past import Past

from .asking import Answer, get
from .making import Scene, live, snapshot, worker

W1, W2 = "celery@one", "celery@two"
SUCCEEDED = 'celery_task_succeeded_total{hostname="generic",name="proj.add"'


class Api(Scene):
    """A scene and the app that shows it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.aside = Aside()
        self.aside.open()
        self.recorder = Recorder(self.views.settings, clock=self.clock)
        self.recorder.open()
        self.recorder.flush()
        self.app = make_app(self.views, Past(self.recorder.reader), self.aside)
        self.described = get(self.app, "/api/v1/openapi.json").json()

    def close(self) -> None:
        self.recorder.close()
        self.aside.close()

    def get(self, path: str, query: str = "", *, described_as: str = "") -> Any:
        """Return the document, which is as described."""
        answer = get(self.app, path, query=query)
        self.check(described_as or path, answer)
        return answer.json()

    def check(self, path: str, answer: Answer) -> None:
        """Hold an answer against its description."""
        operation: Any = self.described["paths"][path]["get"]  # type: ignore[index]
        content = operation["responses"][str(answer.status)]["content"]
        schema = content[answer.headers["content-type"]]["schema"]
        Draft202012Validator({**schema, "components": self.described["components"]}).validate(
            answer.json()
        )


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api(queue_length_limits=(("mail", (5.0, 10.0)),))
    yield api
    api.close()


def full(api: Api) -> None:
    """Let there be something of everything."""
    survey = Survey(
        queues=(QueueDepth("mail", ready=7, unacked=2**60, consumers=0), QueueDepth("web")),
        queues_age_seconds=1.5,
        workers=(WorkerAnswer(W1, active=1, pool_processes=4, queues=("mail",)),),
        stalled=(W1,),
    )
    workers = (
        worker(W1, pid=7, active=1, load_average=float("inf"), processed=2**70),
        worker(W2, WorkerState.LOST, silent_seconds=99.0),
    )
    api.views(snapshot({"proj.add": TaskCounts(sent=3)}, workers=workers, survey=survey))
    api.live = live(
        {"proj.add": TaskCounts(failed=1)},
        opened_at=60,
        taken_at=65.0,
        running=(RunningTask("u1", None, W1, 5.0), RunningTask("u2", "<b>", W1, 64.0)),
        running_count=2,
        tasks_in_flight=3,
    )


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("what", ["status", "workers", "queues", "running", "schedules"])
def test_each_answer_is_as_described(api: Api, what: str, is_full: bool) -> None:
    """Before the first shot, too."""
    if is_full:
        full(api)
    api.get(f"/api/v1/{what}")


def test_each_path_is_described_and_there() -> None:
    """No more, no less."""
    api = Api()
    routes: Any = api.app.routes
    paths = (route.path for route in routes if route.path.startswith("/api/"))
    served = {path.replace("{id:path}", "{id}") for path in paths}
    assert served == {*api.described["paths"], "/api/v1/openapi.json"}  # type: ignore[misc]
    for schema in api.described["components"]["schemas"].values():  # type: ignore[index]
        Draft202012Validator.check_schema(schema)
    api.close()


def test_the_status_is_that_of_the_command(api: Api) -> None:
    """With since when, and how old the numbers are."""
    full(api)
    api.clock.advance(10)
    status = api.get("/api/v1/status")
    assert status["status"] == "warning"
    assert status["problems"] == [
        "queue mail: 7 waiting",
        "celery@two is lost",
        "celery@one does nothing while work waits",
        "nobody reads queue mail",
    ]
    assert (status["since"], status["at"], status["shot"]["age_seconds"]) == (60.0, 1_010.0, 950.0)
    assert status["workers"] == {"online": 1, "offline": 0, "lost": 1, "stalled": 1}
    assert status["shot"]["tasks"]["sent"] == 3
    assert status["live"]["tasks"]["failed"] == 1
    assert status["live"]["oldest_running_seconds"] == 60.0


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        (BrokerLink.AWAY, "the broker is away"),
        (BrokerLink.CONNECTING, "the monitor has not reached the broker yet"),
        (BrokerLink.SUBSCRIBED, "nothing has come from the durable queue yet"),
        (BrokerLink.STANDBY, "another monitor reads the queue of events"),
    ],
)
def test_what_is_not_known_is_not_well(api: Api, link: BrokerLink, sentence: str) -> None:
    """Nor critical: nothing is known of the workers."""
    api.views(snapshot(link=link))
    status = api.get("/api/v1/status")
    assert (status["status"], status["problems"]) == ("unknown", [sentence])


def test_the_status_says_since_when_it_is_so(api: Api) -> None:
    """That is the shot at which it changed."""
    for minute, workers in enumerate([(worker(W1),), (), (), ()]):
        api.views(snapshot(opened_at=minute * 60.0, workers=workers))
    status = api.get("/api/v1/status")
    assert (status["status"], status["since"]) == ("critical", 120.0)
    assert status["problems"] == ["no worker answers"]


def test_numbers_that_javascript_does_not_know_are_text_or_null(api: Api) -> None:
    """A worker may say anything."""
    full(api)
    one = api.get("/api/v1/workers")["items"][0]
    assert (one["processed"], one["load_average"]) == (str(2**70), None)
    assert api.get("/api/v1/queues")["items"][0]["unacked"] == str(2**60)


def test_lists_are_read_page_by_page(api: Api) -> None:
    """By name, so that nothing is skipped when something comes or goes."""
    api.views(snapshot(workers=tuple(worker(f"w@{number}") for number in range(5))))
    names, after, pages = [], "", 0
    while after is not None:
        page = api.get("/api/v1/workers", f"limit=2&after={after}")
        names += [item["hostname"] for item in page["items"]]
        after, pages = page["next"], pages + 1
        assert page["count"] == 5
    assert (names, pages) == ([f"w@{number}" for number in range(5)], 3)


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "", "9" * 5_000])
def test_a_wrong_limit_is_answered_with_what_is_allowed(api: Api, limit: str) -> None:
    """In one sentence."""
    document = api.get("/api/v1/queues", f"limit={limit}")
    assert document == {"error": "limit must be from 1 to 1,000"}


@pytest.mark.parametrize("path", ["/metrics/", "/api/v1/", "/api/v1/status/"])
def test_what_is_not_there_is_not_looked_for_elsewhere(api: Api, path: str) -> None:
    """No redirect, which would repeat what was asked for."""
    answer = get(api.app, path)
    assert (answer.status, answer.json()) == (404, {"error": "there is no such page here"})


def test_health_says_why_not(api: Api) -> None:
    """As `healthcheck --monitor` does."""
    assert (get(api.app, "/health").status, get(api.app, "/health").text) == (200, "healthy\n")
    api.problem = "the monitor's last shot was 300 s ago."
    answer = get(api.app, "/health")
    assert (answer.status, answer.text) == (503, "the monitor's last shot was 300 s ago.\n")
    status = api.get("/api/v1/status")
    assert status["monitor"]["problem"] == "the monitor's last shot was 300 s ago."


def test_a_second_monitor_that_publishes_the_same_is_named(api: Api) -> None:
    """It is no reason to start this one again."""
    api.second = "process 7 on here"
    answer = get(api.app, "/health")
    assert (answer.status, answer.text) == (
        200,
        "healthy, but a second monitor publishes the same: process 7 on here\n",
    )
    assert api.get("/api/v1/status")["monitor"]["second"] == "process 7 on here"
    api.views(snapshot({}, second=api.second))
    said = "a second monitor publishes the same, so that everything counts twice: process 7 on here"
    assert said in api.get("/api/v1/status")["problems"]
    assert said in get(api.app, "/").text


def test_the_page_says_which_one_it_is(api: Api) -> None:
    """And who else is there."""
    api.role = Role.STANDBY
    api.views(snapshot({}, role=Role.STANDBY))
    assert "this monitor stands by: another publishes" in get(api.app, "/").text

    api.role = Role.LEADER
    api.views(snapshot({}, opened_at=60, role=Role.LEADER, standbys=1))
    assert "this monitor publishes, and another stands by" in get(api.app, "/").text
    assert api.get("/api/v1/status")["monitor"]["standbys"] == 1


def test_a_standby_is_healthy_and_leaves_tasks_and_queues_to_the_leader(api: Api) -> None:
    """Who adds up what both show would count everything twice."""
    # Given a standby that counts
    ready = Survey(queues=(QueueDepth("celery", ready=3),))
    counted = {"proj.add": TaskCounts(succeeded=2)}
    api.role = Role.STANDBY
    api.views(snapshot(counted, role=Role.STANDBY, survey=ready))

    # Then it shows itself only
    assert get(api.app, "/health").body == b"healthy, standby\n"
    assert api.get("/api/v1/status")["monitor"]["role"] == "standby"
    shown = api.scrape()
    assert "celery_monitor_heartbeat_total" in shown
    assert not [name for name in shown if "proj.add" in name or "queue_length" in name]

    # And when it leads, that at once, and what it counts from then on
    api.role = Role.LEADER
    assert get(api.app, "/health").body == b"healthy\n"
    assert api.get("/api/v1/status")["monitor"]["role"] == "leader"
    api.scrape()
    api.views(snapshot(counted, opened_at=60, role=Role.LEADER, survey=ready))
    api.scrape()
    succeeded = [value for name, value in api.scrape().items() if name.startswith(SUCCEEDED)]
    assert succeeded == [2]


def test_who_waits_for_the_queue_of_events_leaves_queues_to_the_other(api: Api) -> None:
    """Over SQS, and with a durable queue, it asks for no lock: the queue has one reader."""
    ready = Survey(queues=(QueueDepth("celery", ready=3),))
    api.views(snapshot({}, link=BrokerLink.STANDBY, survey=ready))

    assert not [name for name in api.scrape() if "queue_length" in name]


def test_the_live_stream_has_a_document_an_event(api: Api) -> None:
    """As described by `Live`."""
    full(api)
    events: list[str] = []

    class Enough(Exception):  # noqa: N818
        pass

    async def watch() -> None:
        async def receive() -> dict[str, object]:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body"):
                events.append(message["body"].decode())
                raise Enough

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/v1/live",
            "root_path": "",
            "query_string": b"",
            "headers": [],
            "http_version": "1.1",
        }
        await api.app(scope, receive, send)

    with pytest.raises(BaseException):  # noqa: B017, PT011  a group, or the one alone
        asyncio.run(watch())
    (event,) = events
    name, data = event.strip().split("\n")
    schema = {"$ref": "#/components/schemas/Live", "components": api.described["components"]}
    assert name == "event: live"
    Draft202012Validator(schema).validate(json.loads(data.removeprefix("data: ")))


def test_content_types_are_what_prometheus_takes(api: Api) -> None:
    """Version 3 refuses a scrape without a valid one."""
    plain = get(api.app, "/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
    openmetrics = get(api.app, "/metrics", headers=accept)
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=")
    assert openmetrics.text.endswith("# EOF\n")
