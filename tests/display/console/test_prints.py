"""Prints in the console: the operator orders, cancels and repeats, and sees why sheets wait."""

from collections.abc import Callable

import pytest
import redis
from playwright.sync_api import Page, expect

from shared.printing.prints import CONSOLE, PrinterStatus, PrintState
from shared.printing.table import PrintTable
from shared.runtime_settings import read_runtime_settings
from shared.settings import Settings
from tests.display.conftest import PASSCODE
from tests.display.console.test_console import log_in, open_tab, refresh_until_visible
from tests.display.fake_pipeline import FakePipeline
from tests.waiting import wait_until


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    return display_settings.model_copy(update={"passcode": Settings(passcode=PASSCODE).passcode, "printer": "Booth"})


def test_the_operator_prints_a_dream_cancels_it_and_prints_it_again(
    open_page: Callable[..., Page], pipeline: FakePipeline, client: redis.Redis
) -> None:
    prints = PrintTable(client)
    prints.set_printer(PrinterStatus(name="Booth", state="out of paper"))
    job = pipeline.add_dream((10, 90, 40), thumb=True)
    page = log_in(open_page("/console"))
    open_tab(page, "Dreams")
    print_button = page.get_by_role("button", name="Print", exact=True)
    refresh_until_visible(page, "Dreams", print_button)
    print_button.click()
    wait_until(lambda: len(prints.list_queue()) == 1, "it is ordered")
    [record] = prints.list_queue()
    assert (record.job_id, record.requester, record.number) == (job.id, CONSOLE, 1)
    open_tab(page, "Prints")
    expect(page.get_by_text("Booth: out of paper")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    wait_until(lambda: [p.state for p in prints.list_finished(5)] == [PrintState.CANCELLED], "it is cancelled")
    expect(page.get_by_text("The operator cancelled it.")).to_be_visible()
    page.get_by_role("button", name="Print again").click()
    wait_until(lambda: [(p.id, p.attempt) for p in prints.list_queue()] == [(record.id, 2)], "it is queued again")


@pytest.mark.slow
def test_the_operator_turns_automatic_prints_on_and_off_and_sets_the_limits(
    open_page: Callable[..., Page], settings: Settings, client: redis.Redis
) -> None:
    page = log_in(open_page("/console"))
    open_tab(page, "Settings")
    page.get_by_text("Print every dream from now on").click()
    page.get_by_label("Prints per guest and event").fill("4")
    page.get_by_role("button", name="Save").click()
    wait_until(lambda: read_runtime_settings(client, settings).prints_per_guest == 4, "it is saved")
    since = read_runtime_settings(client, settings).print_since
    assert abs(since - client.time()[0]) < 300
    page.reload()  # as the operator finds it later
    open_tab(page, "Settings")
    expect(page.get_by_role("switch", name="Print every dream from now on")).to_be_checked()
    page.get_by_text("Print every dream from now on").click()
    page.get_by_role("button", name="Save").click()
    wait_until(lambda: read_runtime_settings(client, settings).print_since == 0.0, "it is off")
