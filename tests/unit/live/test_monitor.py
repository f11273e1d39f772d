"""Over the API: what a running monitor knows is on the screen, at every size and for every name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rich.cells import cell_len

from event_monitor.errors import SettingsError
from event_monitor.history import Run
from event_monitor.live import Look, Monitor, NoMonitorError
from event_monitor.settings import credentials_of
from event_monitor.snapshot import OrphanedTask, RunningTask, WorkerLoss, WorkerState
from event_monitor.survey import QueueDepth

from ...browser.site import Site, all_well, failed, failures, queue_growing, survey, worker
from .screen import Shown, play

SIZES = [(80, 24), (120, 40)]
HOSTILE = "[bold red]x[/] \x1b[2Jy \ud800 \u202e" + "名" * 300


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.mark.parametrize("size", SIZES)
def test_all_sections_are_there_at_once(site: Site, size: tuple[int, int]) -> None:
    """Verdict and since when, failures, changes, queues, workers and tasks, the worst first."""
    failures(site)
    queue_growing(site)
    site.show(
        survey=survey(QueueDepth("mail", 0, 0, 3), QueueDepth("pay", 1_204, 16, 2, 372.0)),
        losses=(WorkerLoss("celery@z-lost", 90.0, orphans=(OrphanedTask("u", "x"),) * 3),),
        workers=(
            worker("celery@a", sends_task_events=False),
            worker("celery@b", WorkerState.OFFLINE, draining=2),
            worker("celery@c", WorkerState.OFFLINE),
            worker("celery@z-lost", WorkerState.LOST),
        ),
    )

    async def script(shown: Shown) -> None:
        assert max(map(cell_len, shown.lines)) <= size[0]
        assert shown.lines[0].startswith(" event-monitor top  http://127.0.0.1:")
        assert shown.lines[1].startswith(" CRITICAL since ")
        assert "queue pay: 1,204 waiting" in shown.lines[1]
        assert "▁" in shown.text.split(" 1 FAILURES")[0]
        assert shown.rows("failures")[0].startswith(" 1 FAILURES 2 ")
        row = shown.rows("failures")[1]
        assert row.startswith("▸~shop.pay ")
        assert row.split()[1:3] == ["new", "GatewayTimeout"]
        assert row.split()[-2] == "12"
        assert any("first GatewayTimeout" in row for row in shown.rows("changes"))
        assert shown.rows("queues")[1].split()[:3] == ["!pay", "1,204", "6m"]
        rows = [row.split() for row in shown.rows("workers")]
        assert rows[1][:5] == ["!celery@z-lost", "lost", "–", "3", "unfinished"]
        assert [row[:2] for row in rows[2:4]] == [
            ["~celery@a", "online"],
            ["~celery@b", "draining"],
        ]
        assert shown.lines[-2] == " 1 worker sends no task events (-E)"
        running = shown.rows("running")[1]
        assert running.split()[:2] == ["~shop.pay", "r1"]
        assert "48m 00s" in running

    play(Monitor(site.address), script, size=size)


def test_a_failure_opens_with_its_traceback(site: Site) -> None:
    """Enter, and Escape back."""
    failures(site)

    async def script(shown: Shown) -> None:
        await shown.press("enter")
        await shown.until(lambda: "Traceback (most recent call last):" in shown.text)
        assert "shop/pay.py:88 in charge" in shown.text
        assert "task-11" in shown.text
        await shown.press("end")
        await shown.press("escape")
        assert " 1 FAILURES" in shown.text

    play(Monitor(site.address), script)


def test_a_worker_opens_with_what_it_runs(site: Site) -> None:
    """And a task that runs has not ended yet."""
    all_well(site)
    site.run(RunningTask("r1", "shop.pay", "celery@pay-1", site.now - 90))

    async def script(shown: Shown) -> None:
        await shown.press("4", "down", "enter")
        await shown.until(lambda: "shop.pay  r1" in shown.text)
        assert "celery@pay-1" in shown.lines[0]
        await shown.press("q", "5", "enter")
        await shown.until(lambda: "no run of it has ended" in shown.text)

    play(Monitor(site.address), script)


def test_rows_are_sorted_filtered_and_stay_chosen(site: Site) -> None:
    """The chosen row is the same one after the next look."""
    site.show(survey=survey(*(QueueDepth(f"q{n}", n, 0, 9 - n, float(n)) for n in range(1, 6))))

    def names(shown: Shown) -> list[str]:
        rows = (row.lstrip("▸!~ ") for row in shown.rows("queues")[1:])
        return [row.split()[0] for row in rows if row]

    async def script(shown: Shown) -> None:
        await shown.press("3")
        assert names(shown) == ["q5", "q4", "q3", "q2", "q1"]
        await shown.press("down", "s")
        assert names(shown) == ["q1", "q2", "q3", "q4", "q5"]
        await shown.press("S")
        assert "QUEUES 5↑" in shown.rows("queues")[0]
        assert names(shown) == ["q5", "q4", "q3", "q2", "q1"]
        await shown.press("s")
        assert "waiting↓" in shown.rows("queues")[0]
        await shown.press("S")
        assert "waiting↑" in shown.rows("queues")[0]
        assert names(shown) == ["q1", "q2", "q3", "q4", "q5"]
        # When another queue comes that is before the chosen one
        await shown.press("end")
        site.show(survey=survey(QueueDepth("q0", 0, 0, 1), QueueDepth("q5", 5, 0, 1)))
        await shown.until(lambda: names(shown) == ["q0", "q5"])
        assert shown.rows("queues")[2].startswith("▸")
        await shown.press("slash", "Q", "0", "enter")
        assert names(shown) == ["q0"]
        await shown.press("escape")
        assert names(shown) == ["q0", "q5"]

    play(Monitor(site.address), script, size=(80, 40))


@pytest.mark.parametrize("size", SIZES)
def test_no_name_steers_the_screen(site: Site, size: tuple[int, int]) -> None:
    """Markup, escapes, lone surrogates, right-to-left and endless names are text, cut to size."""
    site.end(failed(1, HOSTILE, exception=HOSTILE[:200], place=HOSTILE[:200], worker=HOSTILE))
    site.show(
        survey=survey(QueueDepth(HOSTILE, 5, 0, 0)),
        workers=(worker(HOSTILE),),
        losses=(WorkerLoss(HOSTILE, 90.0),),
    )
    site.run(RunningTask(HOSTILE, HOSTILE, HOSTILE, site.now - 90))

    async def script(shown: Shown) -> None:
        for key in ("1", "4", "5"):
            await shown.press(key)
            assert "\x1b" not in shown.text
            assert "\u202e" not in shown.text
            shown.text.encode()  # no lone surrogate is left
            await shown.press("enter")
            await shown.until(lambda: "Esc back" in shown.text)
            assert "[bold red]x" in shown.text
            await shown.press("escape")
        assert any("[bold red]" in row for row in shown.rows("queues"))

    play(Monitor(site.address), script, size=size)


def test_a_monitor_that_goes_away_is_said_and_comes_back(site: Site) -> None:
    """What was known stays on the screen, and it says how old that is."""
    queue_growing(site)

    class Line:
        """Between the screen and the monitor; may be cut."""

        where = "the monitor"

        def __init__(self) -> None:
            self._there = Monitor(site.address)
            self._nowhere = Monitor("http://127.0.0.1:1")
            self.is_cut = False

        def look(self) -> Look:
            return (self._nowhere if self.is_cut else self._there).look()

        def runs(self, task_id: str) -> tuple[Run, ...]:
            return self._there.runs(task_id)

    line = Line()

    async def script(shown: Shown) -> None:
        line.is_cut = True
        await shown.until(lambda: "NO ANSWER" in shown.lines[0])
        assert shown.lines[1].startswith(
            " UNKNOWN  no monitor answers at http://127.0.0.1:1: Connection refused"
        )
        assert shown.lines[2].startswith("   before: CRITICAL, queue pay")
        assert shown.rows("queues")[1].startswith(" !pay")
        line.is_cut = False
        await shown.until(lambda: "live" in shown.lines[0])
        assert shown.lines[1].startswith(" CRITICAL since")

    play(line, script, seconds=0.05)


@pytest.mark.parametrize("size", [(40, 8), (60, 12), (110, 24), (200, 60)])
def test_other_sizes_show_what_there_is_room_for(site: Site, size: tuple[int, int]) -> None:
    """Nothing is wider than the screen, and what matters most comes first."""
    failures(site)
    queue_growing(site)

    async def script(shown: Shown) -> None:
        assert max(map(cell_len, shown.lines)) <= size[0]
        assert len(shown.lines) == size[1]
        assert shown.lines[1].startswith(" CRITICAL since")
        await shown.press("5")
        assert size[1] < 12 or "shop.pay" in shown.rows("running")[1]
        await shown.press("enter", "escape", "slash", "ctrl+c")

    play(Monitor(site.address), script, size=size)


def test_it_pauses_and_goes_on(site: Site) -> None:
    """Paused, nothing new is shown."""
    site.show(survey=survey(QueueDepth("early", 1, 0, 1)))

    async def script(shown: Shown) -> None:
        await shown.press("p")
        assert "PAUSED" in shown.lines[0]
        await shown.press("p")
        site.show(survey=survey(QueueDepth("late", 1, 0, 1)))
        await shown.until(lambda: "late" in shown.text and "early" not in shown.text)
        await shown.press("question_mark")
        assert "pause, and go on" in shown.text
        await shown.press("escape", "v")
        assert "nothing is wrong" in shown.text

    play(Monitor(site.address), script)


def test_before_the_first_shot(site: Site) -> None:
    """Unknown is not zero."""
    look = Monitor(site.address).look()

    assert (look.level, look.per_minute, look.age_seconds) == ("unknown", None, None)


def test_who_asks_has_to_say_who_it_is(tmp_path: Path) -> None:
    """By basic and bearer, as http_auth names them; else one sentence."""
    for scheme, secret in (("basic", "ann:tr0ub4dor"), ("bearer", "t0ken")):
        (tmp_path / scheme).write_text(f"{secret}\n")
        how = f"{scheme}:{tmp_path / scheme}"
        site = Site(http_auth=how)
        try:
            site.show()

            assert Monitor(site.address, credentials=credentials_of(how)).look().level == "ok"
            with pytest.raises(SettingsError, match=r"wants to know who asks .*--http-auth"):
                Monitor(site.address).look()
        finally:
            site.close()


def test_where_no_monitor_is() -> None:
    """A closed port is one sentence."""
    with pytest.raises(NoMonitorError, match=r"^no monitor answers at http://127.0.0.1:1: Con"):
        Monitor("http://127.0.0.1:1").look()


class Stranger(BaseHTTPRequestHandler):
    """Answers every question with ``body``."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"at": 1e999}',
        b'{"at": NaN}',
        b'{"status": 1, "problems": 2, "since": [], "at": "now", "shot": 3, "monitor": null}',
    ],
    ids=["nothing", "a page", "a list", "no key", "deep", "endless", "no number", "other types"],
)
def test_what_is_no_monitor_is_one_sentence(body: bytes) -> None:
    """Whatever listens there."""
    server = HTTPServer(("127.0.0.1", 0), type("Says", (Stranger,), {"body": body}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with pytest.raises(NoMonitorError, match="is no monitor that serves its page and its API"):
            Monitor(f"http://127.0.0.1:{server.server_port}").look()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
