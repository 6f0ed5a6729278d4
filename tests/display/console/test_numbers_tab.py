"""The tab Numbers: figures, charts, table and CSV say the same of an evening."""

import csv
import io
import json
import re
from collections.abc import Callable
from functools import partial
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

from display.console.charts import (
    make_grouped_bars,
    make_heat_map,
    make_range_lines,
    make_ranking,
    make_stacked_bars,
)
from display.console.numbers_csv import parse_zone
from display.console.sessions import SESSION_COOKIE
from shared.monitoring.usage_counts import HOURS_PER_DAY, Counted, persist_usage_counts
from shared.monitoring.usage_report import UsageRow, merge_counts
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import USAGE_COUNTS_PREFIX
from tests.browser import ContextPool
from tests.display.conftest import PASSCODE, DisplayProcess, make_page, running_display
from tests.display.console.test_console import log_in, open_tab
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import send_request
from tests.servers import Valkey
from tests.stack import free_port
from tests.usage_evening import Evening, count_evening, read_hour
from tests.waiting import wait_until


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    return display_settings.model_copy(update={"passcode": Settings(passcode=PASSCODE).passcode})


@pytest.fixture
def open_numbers(open_page: Callable[..., Page]) -> Callable[[], Page]:
    """Open the tab in a browser of the exhibition's time zone."""

    def open_numbers() -> Page:
        page = log_in(open_page("/console", timezone_id="Europe/Berlin"))
        open_tab(page, "Numbers")
        return page

    return open_numbers


def read_figures(page: Page) -> dict[str, str]:
    """Return the key figures by label."""
    page.locator(".st-key-numbers-figures [data-testid=stMetric]").first.wait_for()
    metrics = page.locator(".st-key-numbers-figures [data-testid=stMetric]").all()
    parts = [metric.inner_text().split("\n") for metric in metrics]
    return {part[0]: part[-1] for part in parts}


def tells(page: Page, evening: Evening) -> bool:
    """Return whether the key figures are those of an evening."""
    figures = read_figures(page)
    return (figures.get("photos"), figures.get("dreams")) == (str(evening.photos), str(evening.dreams))


def download_csv(page: Page, display: DisplayProcess) -> list[dict[str, str]]:
    path = page.get_by_role("link", name="Download these hours as CSV").get_attribute("href")
    session = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}[SESSION_COOKIE]
    request = Request(f"{display.url}{path}", headers={"Cookie": f"{SESSION_COOKIE}={session}"})
    with urlopen(request, timeout=60) as response:
        assert response.headers["Content-Type"].startswith("text/csv")
        return list(csv.DictReader(io.StringIO(response.read().decode())))


def test_figures_charts_and_csv_say_the_same(
    open_numbers: Callable[[], Page], pipeline: FakePipeline, display: DisplayProcess
) -> None:
    evening = count_evening(pipeline.client, 60)
    update_runtime_settings(pipeline.client, opened_at=evening.first_hour * 3600.0)
    page = open_numbers()
    page.get_by_text("this event", exact=True).filter(visible=True).click()
    link = page.get_by_role("link", name="Download these hours as CSV")
    expect(link).to_have_attribute("href", re.compile(f"first={evening.first_hour}&last={evening.first_hour + 4}&"))
    figures = read_figures(page)
    assert (figures["photos"], figures["dreams"], figures["printed"]) == tuple(
        str(number) for number in (evening.photos, evening.dreams, evening.printed)
    )
    assert figures["saved (per dream)"] == f"{evening.saved} ({evening.saved / evening.dreams:.1f})"
    rows = download_csv(page, display)
    assert list(rows[0]) == list(UsageRow._fields)
    assert len(rows) == 5
    assert sum(int(row["dreams"]) for row in rows) == evening.dreams
    assert rows[0]["hour_local"].endswith(("+01:00", "+02:00"))
    assert sum(int(row["links_opened"]) for row in rows) == evening.opened
    alt = f"Photos over time, by origin; {evening.photos} in total"
    expect(page.get_by_label(alt).or_(page.get_by_alt_text(alt)).first).to_be_visible()
    page.locator(".vega-embed svg, .vega-embed canvas").first.wait_for()
    page.get_by_text("Table by hour").click()
    expect(page.get_by_test_id("stDataFrame").filter(visible=True).first).to_be_visible()


@pytest.mark.slow
def test_several_days_have_a_bar_each_and_a_field_for_each_hour(
    open_numbers: Callable[[], Page], pipeline: FakePipeline
) -> None:
    now = read_hour(pipeline.client)
    evenings = [
        count_evening(pipeline.client, 20, last_hour=now - days_ago * HOURS_PER_DAY, seed=days_ago)
        for days_ago in (4, 3, 1)
    ]
    persist_usage_counts(pipeline.client, pipeline.store)  # the oldest is in the store only
    page = open_numbers()
    page.get_by_text("7 days", exact=True).filter(visible=True).click()
    expect(page.get_by_text("Photos by day and hour")).to_be_visible()
    assert read_figures(page)["photos"] == str(sum(evening.photos for evening in evenings))


def test_an_evening_without_photos_says_so(open_numbers: Callable[[], Page]) -> None:
    page = open_numbers()
    expect(page.get_by_text("Nothing happened in this range.")).to_be_visible()


@pytest.mark.slow
def test_without_a_broker_the_tab_says_so_and_comes_back(
    open_numbers: Callable[[], Page], pipeline: FakePipeline, valkey: Valkey
) -> None:
    count_evening(pipeline.client, 20)
    page = open_numbers()
    page.locator(".st-key-numbers-figures").wait_for()
    valkey.stop()
    refresh = page.get_by_role("button", name="Refresh").filter(visible=True)
    refresh.click()
    expect(page.get_by_text("The broker is unavailable").filter(visible=True).first).to_be_visible()
    valkey.start()
    page.reload()
    open_tab(page, "Numbers")
    page.locator(".st-key-numbers-figures").wait_for()


def test_numbers_are_for_the_operator_only_and_nonsense_is_refused(
    open_numbers: Callable[[], Page], display: DisplayProcess
) -> None:
    assert send_request(display, "/console/numbers.csv?first=1&last=2").status == 303
    session = {cookie["name"]: cookie["value"] for cookie in open_numbers().context.cookies()}[SESSION_COOKIE]
    for query in ("", "?first=1", "?first=-1&last=2", "?first=x&last=2", "?first=1&last=99999999"):
        response = send_request(display, f"/console/numbers.csv{query}", Cookie=f"{SESSION_COOKIE}={session}")
        assert response.status == 400
    path = "/console/numbers.csv?first=1&last=2&zone=../../etc/passwd"
    response = send_request(display, path, Cookie=f"{SESSION_COOKIE}={session}")
    assert (response.status, response.body.count(b"\n")) == (200, 3)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [None, "", "Nowhere/Land", "../../etc/passwd", "/etc/passwd", "Europe/\0"])
def test_a_zone_that_there_is_not_is_this_machine_s(name: str | None) -> None:
    assert parse_zone(name) is None


def test_charts_without_values_are_charts() -> None:
    for spec in (
        make_stacked_bars([], []),
        make_grouped_bars([], []),
        make_range_lines([], "median", "95 %"),
        make_ranking([]),
        make_heat_map([], [], []),
    ):
        assert spec["data"] == {"values": []}


@pytest.mark.slow
def test_two_displays_tell_the_same_evening_also_after_the_broker_was_wiped(
    contexts: ContextPool, display: DisplayProcess, pipeline: FakePipeline
) -> None:
    evening = count_evening(pipeline.client, 40)

    def is_stored() -> bool:
        """Return whether all of the evening is in the store: a display may have stored a part while it was counted."""
        days = [json.loads(pipeline.store.get(e.name) or b"") for e in pipeline.store.list_objects(USAGE_COUNTS_PREFIX)]
        counts = merge_counts(counts for day in days for counts in day["hours"].values())
        return all(
            sum(number for name, number in counts.items() if name.startswith(f"{kind.value}|")) == expected
            for kind, expected in ((Counted.ACCEPTED, evening.photos), (Counted.COMPLETED, evening.dreams))
        )

    second_settings = display.settings.model_copy(update={"port": free_port()})
    with running_display(second_settings) as second:  # both persist the counts, and restore them
        wait_until(is_stored, "the counts are in the store")
        pipeline.client.flushall()
        for each in (display, second):
            page = make_page(contexts, each)
            page.goto("/console")
            open_tab(log_in(page), "Numbers")
            page.get_by_text("7 days", exact=True).filter(visible=True).click()
            wait_until(
                partial(tells, page, evening),
                "the tab tells of the whole evening",
                explain=partial(page.inner_text, "body"),
            )
