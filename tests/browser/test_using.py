"""Using: what one can do with the page, by mouse and by keyboard, and how it stays fresh."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from event_monitor.snapshot import WorkerState

from . import site as states
from .conftest import Open
from .site import Site, failed

pytestmark = pytest.mark.integration


def test_it_stays_fresh_by_itself(site: Site, open_page: Open) -> None:
    """Numbers at once, lists soon; what has the focus keeps it, and what was open stays open."""
    states.failures(site)
    page = open_page("/").page
    page.get_by_role("link", name="mail.send").first.focus()
    site.run(failed=7)
    expect(page.locator("[data-live='tasks.failed']")).to_have_text("7")
    site.end(failed(200, "late.comer"))
    site.run(failed=8)
    expect(page.get_by_role("link", name="late.comer").first).to_be_visible(timeout=30_000)
    assert page.evaluate("document.activeElement.textContent") == "mail.send"


def test_a_page_that_is_paused_stands_still(site: Site, open_page: Open) -> None:
    """Until it goes on; the next page is paused, too."""
    states.all_well(site)
    page = open_page("/").page
    page.get_by_role("button", name="pause").click()
    expect(page.locator("#freshness")).to_contain_text("paused at")
    site.run(failed=7)
    page.goto("/queues")
    expect(page.locator("#freshness")).to_contain_text("paused at")
    page.goto("/")
    before = page.locator("main").inner_text()
    site.end(failed(1))
    page.keyboard.press("p")
    expect(page.get_by_role("link", name="shop.pay").first).to_be_visible(timeout=30_000)
    assert before != page.locator("main").inner_text()


def test_a_monitor_that_is_gone_is_told(site: Site, open_page: Open) -> None:
    """What is still shown is old."""
    states.all_well(site)
    watched = open_page("about:blank")
    watched.page.clock.install()
    watched.page.goto("/")
    expect(watched.page.locator("#freshness")).to_have_text("live")
    site.close()
    watched.page.clock.fast_forward(20_000)
    expect(watched.page.locator("#freshness")).to_contain_text("no answer from the monitor for")
    watched.faults.clear()  # a browser says by itself that it cannot connect


def test_filters_are_in_the_address(site: Site, open_page: Open) -> None:
    """And only those that were set; the list is what they say."""
    states.failures(site)
    page = open_page("/tasks").page
    page.get_by_role("checkbox", name="failed").check()
    page.get_by_label("text").fill("MAIL")
    page.get_by_role("button", name="show").click()
    page.wait_for_url("**/tasks?*")
    assert re.sub(".*/tasks", "", page.url) == "?state=failed&text=MAIL"
    assert page.locator("tbody tr").count() == 1
    expect(page.get_by_role("checkbox", name="failed")).to_be_checked()
    expect(page.get_by_label("text")).to_have_value("MAIL")
    page.locator("tbody tr td a").first.click()
    page.wait_for_url("**/tasks?name=mail.send")


def test_every_number_leads_to_the_list_behind_it(site: Site, open_page: Open) -> None:
    """From the first screen to the traceback."""
    states.failures(site)
    page = open_page("/").page
    page.locator("section", has=page.get_by_role("heading", name="Failures")).get_by_role(
        "link", name="shop.pay"
    ).first.click()
    page.wait_for_url("**/tasks?*exception=GatewayTimeout*")
    assert page.locator("tbody tr").count() == 12
    page.locator("tbody tr").first.get_by_role("link").last.click()
    page.wait_for_url("**/task?id=task-11")
    expect(page.get_by_text("line 88, in charge")).to_be_visible()
    library = page.get_by_text("line 453, in trace_task")
    expect(library).to_be_hidden()
    page.get_by_text("1 frame of libraries").click()
    expect(library).to_be_visible()
    site.run(failed=9)
    expect(page.locator("time").first).to_be_visible()
    expect(library).to_be_visible()


@pytest.mark.parametrize("is_secure", [True, False])
def test_what_one_needs_elsewhere_is_copied(site: Site, open_page: Open, is_secure: bool) -> None:
    """Also over plain http, where a page has no clipboard."""
    states.failures(site)
    watched = open_page("about:blank")
    page = watched.page
    if is_secure:
        watched.allow("clipboard-write")
    else:
        page.add_init_script("delete Navigator.prototype.clipboard")
    page.goto("/task?id=task-3")
    page.get_by_role("button", name="copy the traceback").click()
    expect(page.get_by_role("button", name="copied")).to_be_visible()
    page.goto("/tasks")
    page.get_by_label("text").focus()
    page.keyboard.press("Control+V")
    value = page.get_by_label("text").input_value()
    assert value.startswith("Traceback (most recent call last):")
    assert "trace_task" in value
    assert value.endswith("GatewayTimeout: order 7")


def test_the_keyboard_goes_everywhere(site: Site, open_page: Open) -> None:
    """As the help says."""
    states.failures(site)
    page = open_page("/").page
    expect(page.locator("#freshness")).to_have_text("live")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    # The browser takes the focus out of it with the next frame: until then keys are the dialog's.
    page.wait_for_function("document.activeElement.closest('dialog') === null")
    for key, path in (("f", "failures"), ("q", "queues"), ("w", "workers"), ("s", "schedules")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**/{path}")
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/tasks")
    page.keyboard.press("/")
    page.keyboard.type("mail")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks?text=mail")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks?name=mail.send")


def test_times_are_those_of_who_looks(site: Site, open_page: Open) -> None:
    """With UTC in their title."""
    states.failures(site)
    page = open_page("/incidents", timezone_id="Asia/Kolkata").page
    expect(page.locator("#zone")).to_contain_text("Asia")
    first = page.locator("main time").first
    shown, title = first.inner_text(), first.get_attribute("title") or ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", title)
    minutes = [int(text[11:13]) * 60 + int(text[14:16]) for text in (shown, title)]
    assert (minutes[0] - minutes[1]) % (24 * 60) == 5 * 60 + 30


def test_charts_show_the_last_hour(site: Site, open_page: Open) -> None:
    """They are drawn, named for who cannot see them, and grow with what comes."""
    states.all_well(site)
    page = open_page("/").page
    chart = page.locator("#hour")
    expect(chart.locator("canvas")).to_have_count(1)
    assert "360 succeeded and 0 failed in 61 minutes" in (chart.get_attribute("aria-label") or "")
    site.show()
    site.run(succeeded=1)
    expect(chart).to_have_attribute("aria-label", re.compile("420 succeeded"), timeout=60_000)
    expect(chart.locator("canvas")).to_have_count(1)


def test_it_is_whole_without_its_script(site: Site, open_page: Open) -> None:
    """The script only keeps it fresh."""
    states.failures(site)
    page = open_page("/", java_script_enabled=False).page
    assert page.locator("h1").inner_text().startswith("Warning: shop.pay has been running for 48m")
    page.get_by_role("link", name="Tasks", exact=True).click()
    page.get_by_label("text").fill("mail")
    page.get_by_role("button", name="show").click()
    page.wait_for_url("**/tasks?*")
    assert page.locator("tbody tr").count() == 1
    expect(page.get_by_role("button", name="pause")).to_be_hidden()


def test_thousands_of_workers_and_names_are_no_burden(site: Site, open_page: Open) -> None:
    """The bad ones are shown, and the rest is one click away."""
    workers = tuple(states.worker(f"celery@{number:04}") for number in range(4_990))
    lost = tuple(states.worker(f"celery@lost-{number}", WorkerState.LOST) for number in range(10))
    site.show(workers=workers + lost)
    site.end(*(failed(number, f"name.{number}") for number in range(2_000)))
    page = open_page("/").page
    assert page.locator("h1").inner_text().startswith("Warning: celery@lost-")
    expect(page.get_by_text("4,990 online, 10 lost")).to_be_visible()
    assert page.locator("tr").count() < 100
    page.goto("/workers")
    assert page.locator("tbody tr").count() == 200
    page.get_by_label("name").fill("4321")
    page.get_by_role("button", name="show").click()
    page.wait_for_url("**/workers?*")
    assert page.locator("tbody tr").count() == 1
