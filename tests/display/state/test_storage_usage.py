"""The size of the store, in a folder or a bucket."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from display.state.storage_usage import KindUsage, StorageUsage
from shared.settings import Settings
from shared.storage.object_names import (
    clip_name,
    dream_name,
    frame_name,
    photo_name,
    reference_name,
    sidecar_name,
    tombstone_name,
)
from shared.storage.store import Store, StoreError
from tests.browser import ContextPool
from tests.display.conftest import PASSCODE, make_page, running_display
from tests.servers import S3Server


def fill_store(store: Store) -> None:
    names = [
        photo_name("a"),
        dream_name("j"),
        sidecar_name("j"),
        clip_name("j"),
        frame_name("j", 0),
        frame_name("j", 1),
    ]
    for name in [*names, reference_name("house", "night.jpg"), tombstone_name("k")]:
        store.put(name, bytes(1000))


EXPECTED_USAGE = {
    "photos": KindUsage(1000, 1),
    "dreams": KindUsage(2000, 2),
    "clips": KindUsage(1000, 1),
    "frames": KindUsage(2000, 2),
    "references": KindUsage(1000, 1),
    "other": KindUsage(1000, 1),
}


@pytest.mark.parametrize("backend", ["folder", "bucket"])
def test_everything_is_counted_by_what_it_is(backend: str, tmp_path: Path, s3: S3Server) -> None:
    store = Store(s3.url if backend == "bucket" else (tmp_path / "store").as_uri())
    fill_store(store)
    usage = StorageUsage(store)
    assert usage.latest is None
    usage.count()
    assert usage.latest
    assert usage.latest.kinds == EXPECTED_USAGE
    assert (usage.latest.size, usage.latest.objects) == (8000, 8)


def test_a_store_that_is_away_leaves_the_last_count(s3: S3Server) -> None:
    store = Store(s3.url)
    fill_store(store)
    usage = StorageUsage(store)
    usage.count()
    last_count = usage.latest
    s3.stop()
    with pytest.raises(StoreError):
        usage.count()
    assert usage.latest is last_count


def test_the_console_tells_how_much_lies_in_a_bucket(
    display_settings: Settings, s3: S3Server, contexts: ContextPool
) -> None:
    fill_store(Store(s3.url))
    overrides = {"store_url": s3.url, "passcode": Settings(passcode=PASSCODE).passcode}
    with running_display(display_settings.model_copy(update=overrides)) as display:
        page = make_page(contexts, display)
        page.goto("/console")
        page.get_by_label("passcode").fill(PASSCODE)
        page.get_by_role("button").click()
        page.get_by_role("tab", name="Settings").click()
        expect(page.get_by_text("Store: 8.0 kB in 8 objects")).to_be_visible()
