"""A new version of a recipe, tried out from the console: set, compared, and ended."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import redis
from playwright.sync_api import Page, expect

from display.console.comparison_table import render_summary
from display.i18n import get_console_texts
from display.pages.share_links import ShareLinks
from shared.jobs.job import Job
from shared.jobs.table import JobTable
from shared.monitoring.comparison_report import ComparisonNumbers, list_comparisons
from shared.monitoring.usage_counts import read_usage_counts
from shared.monitoring.usage_report import merge_counts
from shared.recipe.canary import Canary
from shared.recipe.recipe import load_recipe
from shared.redis_keys import RUNTIME_SETTINGS_KEY
from shared.runtime_settings import read_stored_runtime_settings
from shared.settings import Settings
from shared.storage.store import Store
from tests.display.conftest import PASSCODE, DisplayProcess
from tests.display.console.test_console import log_in, open_tab
from tests.display.console.test_numbers_tab import download_csv
from tests.display.fake_pipeline import FakePipeline
from tests.unread_message import UNREAD_MESSAGE
from tests.usage_evening import count_comparison
from tests.waiting import wait_until

NIGHT = load_recipe("night")


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    return display_settings.model_copy(update={"passcode": Settings(passcode=PASSCODE).passcode})


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """The file of the next version of a recipe."""
    text = Path("shared/recipe/bundled/night.toml").read_text(encoding="utf-8")
    path = tmp_path / "night-2.toml"
    path.write_text(text.replace(f"version = {NIGHT.version}", f"version = {NIGHT.version + 1}"), encoding="utf-8")
    return path


def read_canary(settings: Settings) -> Canary | None:
    """Return the canary that the store has, which outlives the broker."""
    return read_stored_runtime_settings(Store(settings.store), settings).canary


def read_comparison(client: redis.Redis, store: Store) -> ComparisonNumbers:
    [comparison] = list_comparisons(merge_counts(read_usage_counts(client, store, 0, 2**31).values()))
    return comparison


@pytest.mark.slow
def test_a_new_version_is_started_changed_and_ended_from_the_settings(
    open_page: Callable[..., Page], pipeline: FakePipeline, display_settings: Settings, recipe_file: Path
) -> None:
    page = log_in(open_page("/console"))
    open_tab(page, "Settings")
    expect(page.get_by_text("Every photo gets the current version.")).to_be_visible()
    page.get_by_label("Choose a recipe file (.toml)").set_input_files(recipe_file)
    expect(page.get_by_text("Chosen: night-2.toml")).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    running = page.get_by_text(f"Version {NIGHT.version + 1} of night goes to 10 % of the photos")
    expect(running).to_be_visible()
    expect(page.get_by_text("Chosen:")).to_have_count(0)
    canary = read_canary(display_settings)
    assert canary
    assert (canary.candidate.version, canary.percent) == (NIGHT.version + 1, 10)
    share = page.get_by_label("Percent of the photos (0: none)")
    share.fill("25")
    share.press("Tab")
    page.get_by_test_id("stForm").filter(has_text="End it").get_by_role("button", name="Save").click()
    expect(page.get_by_text("goes to 25 % of the photos")).to_be_visible()
    pipeline.client.flushall()
    wait_until(lambda: pipeline.client.hexists(RUNTIME_SETTINGS_KEY, "canary"), "a wiped broker is restored")
    page.reload()
    open_tab(page, "Settings")
    expect(page.get_by_text("goes to 25 % of the photos")).to_be_visible()
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_text("is over: every photo gets the current version")).to_be_visible()
    canary = read_canary(display_settings)
    assert canary
    assert canary.percent == 0


@pytest.mark.slow
def test_a_file_that_is_no_next_version_is_refused_with_the_reason_and_changes_nothing(
    open_page: Callable[..., Page], display_settings: Settings, recipe_file: Path
) -> None:
    page = log_in(open_page("/console"))
    open_tab(page, "Settings")
    text = recipe_file.read_text(encoding="utf-8")
    file_input = page.get_by_label("Choose a recipe file (.toml)")
    for changed, reason in (
        (text.replace(f"version = {NIGHT.version + 1}", f"version = {NIGHT.version}"), "is no next version"),
        (re.sub("(?m)^network.*\n", "", text).replace("[", 'network = "vgg19"\n[', 1), "network “vgg19”"),
        ("not a recipe", "is not valid TOML"),
    ):
        recipe_file.write_text(changed, encoding="utf-8")
        file_input.set_input_files(recipe_file)
        page.get_by_role("button", name="Start", exact=True).click()
        expect(page.get_by_text(reason).first).to_be_visible()
    assert read_canary(display_settings) is None


@pytest.mark.slow
def test_the_table_says_what_the_counts_say_and_what_they_cannot_tell(
    open_page: Callable[..., Page], pipeline: FakePipeline, display: DisplayProcess, display_settings: Settings
) -> None:
    canary = count_comparison(pipeline.client, 300, percent=20)
    job = next(
        Job(photo_id=f"{number:064x}", recipe=recipe, comparison=comparison)
        for number in range(1000)
        for recipe, comparison in [canary.assign(NIGHT, f"{number:064x}")]
        if recipe is canary.candidate
    )
    before = read_comparison(pipeline.client, pipeline.store).candidate
    JobTable(pipeline.client).accept(job, message=UNREAD_MESSAGE)
    pipeline.complete_job(pipeline.claim_job(job))
    token = ShareLinks(display_settings).make_token(job.id)
    for _ in range(2):  # its guest saves it twice, on a real page's route
        url = f"{display.url}/t/{token}/saved"
        with urlopen(Request(url, method="POST", headers={"Origin": display.url}), timeout=60) as response:
            assert response.status == 204

    def is_counted() -> bool:
        after = read_comparison(pipeline.client, pipeline.store).candidate
        return (after.dreams, after.saved.number) == (before.dreams + 1, before.saved.number + 1)

    wait_until(is_counted, "the dream is counted, and saved once")
    comparison = read_comparison(pipeline.client, pipeline.store)
    page = log_in(open_page("/console", timezone_id="Europe/Berlin"))
    open_tab(page, "Numbers")
    table = page.locator(".version-comparison")
    expect(page.get_by_role("heading", name="Starry night: version 1 and version 2")).to_be_visible()
    for sentences in render_summary(comparison, get_console_texts("en")):
        expect(page.get_by_text(sentences)).to_be_visible()
    for label, name in {"saved, per dream": "saved", "printed, per dream": "printed", "failed": "failed"}.items():
        row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=label, exact=True))
        for arm in (comparison.current, comparison.candidate):
            share = getattr(arm, name)
            expect(row).to_contain_text(f"{share.number} of {share.total}")
            expect(row).to_contain_text(f"{100 * share.low:.0f}–{100 * share.high:.0f} %")
    expect(table.get_by_text("saved more often")).to_be_visible()
    expect(table.get_by_text("slower")).to_be_visible()
    rows = download_csv(page, display)
    counted = dict(pair.split("=") for row in rows for pair in row["compared"].split())
    assert int(counted["night_1_2|candidate-completed"]) == comparison.candidate.dreams


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_sentence_above_the_table_claims_no_more_than_there_is(
    client: redis.Redis, store: Store, language: str
) -> None:
    texts = get_console_texts(language)
    count_comparison(client, 12, percent=50)
    few = read_comparison(client, store)
    summary, caution = render_summary(few, texts)
    assert texts["compared_summary_few"] in summary
    assert not caution  # nothing is said to differ
    count_comparison(client, 200, percent=50, seed=901)
    many, caution = render_summary(read_comparison(client, store), texts)
    assert caution == texts["compared_summary_chance"]
    assert texts["compared_saved_more"] in many
    assert texts["compared_time_more"] in many
    assert texts["compared_printed_more"] not in many
