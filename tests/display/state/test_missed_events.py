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
from tests.display.conftest import Display, until
from tests.display.fake_pipeline import Studio


def shown(display: Display) -> set[str]:
    """Name the jobs whose dreams are in the gallery."""
    with urllib.request.urlopen(f"{display.url}/gallery/dreams") as answer:
        return {dream["job_id"] for dream in json.load(answer)["dreams"]}


def cut(studio: Studio) -> None:
    """Let the stream begin after all that has happened, and no connection hold."""
    studio.client.xtrim(STREAM, maxlen=0, approximate=False)
    studio.client.client_kill_filter(_type="normal")


def outrun(studio: Studio) -> None:
    """Let the stream begin after all that has happened, and go on with more than is read at once."""
    studio.client.xtrim(STREAM, maxlen=0, approximate=False)
    for _ in range(MAX_EVENTS_PER_READ + 1):
        studio.client.xadd(STREAM, {"event": "{}"})


@pytest.mark.parametrize("pass_by", [cut, outrun])
def test_it_shows_what_it_missed_and_nothing_that_was_hidden_or_deleted_meanwhile(
    display: Display, studio: Studio, display_settings: Settings, pass_by: Callable[[Studio], None]
) -> None:
    """Seen failing without `_look_back`, with both; and the hidden one stayed without the question for those known."""
    kept, hidden, deleted = (studio.dream((10, 90, number)) for number in (10, 20, 30))
    until(lambda: shown(display) == {kept.id, hidden.id, deleted.id}, "all are shown")
    display.sleep()
    missed = studio.dream((10, 90, 40))
    archive = DreamIndex()
    archive.load_from_store(studio.store, lambda job_ids: [False] * len(job_ids), lambda: None)
    curator = Moderation(display_settings, archive)
    curator.hide(hidden.id)
    curator.delete(deleted.id)
    pass_by(studio)
    display.wake()
    later = studio.dream((10, 90, 50))
    until(lambda: shown(display) == {kept.id, missed.id, later.id}, "what may be seen is shown")
