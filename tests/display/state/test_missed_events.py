"""A display that sleeps while events go by: the stream does not reach back for ever, the store does."""

import json
import urllib.request
from collections.abc import Callable

import pytest

from display.console.moderation import Moderation
from display.state.dream_index import DreamIndex
from display.state.event_hub import MAX_EVENTS_PER_READ
from shared.jobs.events import STREAM
from shared.settings import Settings
from tests.display.conftest import DisplayProcess, wait_until
from tests.display.fake_pipeline import FakePipeline


def read_gallery_job_ids(display: DisplayProcess) -> set[str]:
    """Name the jobs whose dreams are in the gallery."""
    with urllib.request.urlopen(f"{display.url}/gallery/dreams") as answer:
        return {dream["job_id"] for dream in json.load(answer)["dreams"]}


def trim_and_disconnect(pipeline: FakePipeline) -> None:
    """Let the stream begin after all that has happened, and no connection hold."""
    pipeline.client.xtrim(STREAM, maxlen=0, approximate=False)
    pipeline.client.client_kill_filter(_type="normal")


def overrun_stream(pipeline: FakePipeline) -> None:
    """Let the stream begin after all that has happened, and go on with more than is read at once."""
    pipeline.client.xtrim(STREAM, maxlen=0, approximate=False)
    for _ in range(MAX_EVENTS_PER_READ + 1):
        pipeline.client.xadd(STREAM, {"event": "{}"})


@pytest.mark.parametrize("pass_by", [trim_and_disconnect, overrun_stream])
def test_it_shows_what_it_missed_and_nothing_that_was_hidden_or_deleted_meanwhile(
    display: DisplayProcess, pipeline: FakePipeline, display_settings: Settings, pass_by: Callable[[FakePipeline], None]
) -> None:
    """Seen failing without `_look_back`, with both; and the hidden one stayed without the question for those known."""
    kept, hidden, deleted = (pipeline.add_dream((10, 90, number)) for number in (10, 20, 30))
    wait_until(lambda: read_gallery_job_ids(display) == {kept.id, hidden.id, deleted.id}, "all are shown")
    display.suspend()
    missed = pipeline.add_dream((10, 90, 40))
    archive = DreamIndex()
    archive.load_from_store(pipeline.store, lambda job_ids: [False] * len(job_ids), lambda: None)
    curator = Moderation(display_settings, archive)
    curator.hide(hidden.id)
    curator.delete(deleted.id)
    pass_by(pipeline)
    display.resume()
    later = pipeline.add_dream((10, 90, 50))
    wait_until(lambda: read_gallery_job_ids(display) == {kept.id, missed.id, later.id}, "what may be seen is shown")
