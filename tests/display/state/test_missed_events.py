"""A display that was suspended recovers from the store the events that the stream no longer has."""

import json
import urllib.request
from collections.abc import Callable

import pytest

from display.moderation import Moderation
from display.state.dream_index import DreamIndex
from display.state.stream_reader import MAX_EVENTS_PER_READ
from shared.redis_keys import STREAM
from shared.settings import Settings
from tests.display.conftest import DisplayProcess
from tests.display.fake_pipeline import FakePipeline
from tests.waiting import wait_until


def read_gallery_job_ids(display: DisplayProcess) -> set[str]:
    """Return the ids of the jobs whose dreams are in the gallery."""
    with urllib.request.urlopen(f"{display.url}/gallery/dreams") as response:
        return {dream["job_id"] for dream in json.load(response)["dreams"]}


def trim_and_disconnect(pipeline: FakePipeline) -> None:
    """Trim all events from the stream and close every connection."""
    pipeline.client.xtrim(STREAM, maxlen=0, approximate=False)
    pipeline.client.client_kill_filter(_type="normal")


def overrun_stream(pipeline: FakePipeline) -> None:
    """Trim all events from the stream and add more than one read returns."""
    pipeline.client.xtrim(STREAM, maxlen=0, approximate=False)
    for _ in range(MAX_EVENTS_PER_READ + 1):
        pipeline.client.xadd(STREAM, {"event": "{}"})


@pytest.mark.parametrize("lose_events", [trim_and_disconnect, overrun_stream])
def test_it_shows_what_it_missed_and_nothing_that_was_hidden_or_deleted_meanwhile(
    display: DisplayProcess,
    pipeline: FakePipeline,
    display_settings: Settings,
    lose_events: Callable[[FakePipeline], None],
) -> None:
    """Seen failing in both cases without `_check_for_trimmed_events`.

    The hidden dream stayed visible unless the display also asked the broker for the visibility of known dreams.
    """
    visible_job, hidden_job, deleted_job = (pipeline.add_dream((10, 90, number)) for number in (10, 20, 30))
    wait_until(
        lambda: read_gallery_job_ids(display) == {visible_job.id, hidden_job.id, deleted_job.id}, "all are shown"
    )
    display.suspend()
    missed_job = pipeline.add_dream((10, 90, 40))
    dream_index = DreamIndex()
    dream_index.load_from_store(pipeline.store, lambda job_ids: [False] * len(job_ids), lambda: None)
    moderation = Moderation(display_settings, dream_index)
    moderation.hide(hidden_job.id)
    moderation.delete(deleted_job.id)
    lose_events(pipeline)
    display.resume()
    wait_until(
        lambda: read_gallery_job_ids(display) == {visible_job.id, missed_job.id},
        "the visible dreams are shown, whether or not anything happens",
    )
    later_job = pipeline.add_dream((10, 90, 50))
    wait_until(lambda: later_job.id in read_gallery_job_ids(display), "later ones follow")
