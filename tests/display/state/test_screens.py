"""Each screen is sent the dreams that the operator has set up for it, and no others."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis

from display.media.pictures import Pictures
from display.moderation import Moderation
from display.state.dream_index import DreamIndex
from display.state.event_hub import EventHub
from display.state.live_state import Change
from display.state.screens import Screens
from shared.recipe.recipe import load_recipe
from shared.runtime_settings import update_runtime_settings
from shared.screens import Content, Layout, Screen
from shared.settings import Settings
from shared.storage.store import Store
from tests.display.fake_pipeline import Color, FakePipeline
from tests.display.state.test_dream_index import make_dream

EYES, LINES = load_recipe("eyes"), load_recipe("lines")

Message = tuple[str, dict[str, Any]]


@pytest.fixture
def pipeline(client: redis.Redis, store: Store) -> FakePipeline:
    return FakePipeline(client, store)


async def read_messages(stream: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """Yield kind and body of each message to a viewer."""
    async for data in stream:
        fields = dict(line.split(": ", 1) for line in data.decode().splitlines() if ": " in line)
        if "event" in fields:
            yield fields["event"], json.loads(fields["data"])


def watch_screen(
    settings: Settings, name: str, act: Callable[[], object], is_last: Callable[[str, dict[str, Any]], bool]
) -> list[Message]:
    """Do something while a screen is connected; return the messages that it gets up to the last one."""

    async def watch() -> list[Message]:
        event_hub, received = EventHub(settings, Pictures(settings)), list[Message]()
        async with event_hub.run(), event_hub.connect_viewer(name) as viewer:
            acting = asyncio.create_task(asyncio.to_thread(act))
            async for kind, body in read_messages(viewer.stream()):
                received.append((kind, body))
                if is_last(kind, body):
                    break
            await acting
        return received

    return asyncio.run(watch())


def list_titles(received: list[Message], *kinds: str) -> set[str]:
    return {body["title"] for kind, body in received if kind in kinds}


def test_a_screen_of_one_recipe_shows_its_dreams_only(
    settings: Settings, client: redis.Redis, pipeline: FakePipeline
) -> None:
    """Seen failing without the filters in `Screens`: of the running jobs, of the dreams, of the snapshot."""
    screen = Screen(content=Content.RECIPE, recipe="eyes", layout=Layout.GRID)
    update_runtime_settings(client, screens={"foyer": screen})
    recipes = (EYES, LINES)
    before = [pipeline.add_dream((90 * number, 0, 0), recipe=recipe) for number, recipe in enumerate(recipes)]
    running = [pipeline.submit_photo((90 * number, 90, 9), recipe=recipe) for number, recipe in enumerate(recipes)]
    claims = [pipeline.claim_job(job) for job in running]
    last = pipeline.submit_photo((9, 9, 9))

    def dream() -> None:
        for claim in claims:
            pipeline.publish_frame(claim, 1)
            pipeline.complete_job(claim)
        pipeline.fail_job(pipeline.claim_job(last))

    def is_last(kind: str, body: dict[str, Any]) -> bool:
        return kind == "ended" and body["job_id"] == last.id  # of which every screen hears

    foyer = watch_screen(settings, "foyer", dream, is_last)
    assert foyer[0][0] == "snapshot"
    assert {job["title"] for job in foyer[0][1]["running"]} == {EYES.title}
    assert {dream["job_id"] for dream in foyer[0][1]["dreams"]} == {before[0].id}
    assert foyer[0][1]["screen"] == {"content": "recipe", "layout": "grid"}
    assert list_titles(foyer, "started", "frame", "dream") == {EYES.title}

    hall = watch_screen(settings, "hall", lambda: None, lambda kind, _: kind == "snapshot")[0][1]
    assert {dream["job_id"] for dream in hall["dreams"]} == {job.id for job in before + running}
    assert hall["screen"] == {"content": "newest", "layout": "single"}


def test_a_screen_shows_what_was_chosen_for_it_unless_it_is_hidden() -> None:
    """Dreams of earlier events can be chosen, too: the best ones of a season."""
    dream_index = DreamIndex()
    chosen, other, hidden = dreams = [make_dream(number) for number in range(3)]
    for dream in dreams:
        dream_index.add(dream)
    dream_index.opened_at = 2e9
    dream_index.hide(hidden.job_id)
    screens = Screens(dream_index)
    screens.update({"best": Screen(content=Content.CHOSEN, dreams=(hidden.job_id, chosen.job_id, "f" * 32))})
    assert screens.list_dreams("best") == [chosen]
    assert [screens.shows("best", Change("dream", dream.as_json())) for dream in (chosen, other)] == [True, False]
    assert not screens.shows("best", Change("started", {"title": chosen.title}))
    assert screens.shows("best", Change("gone", {"job_id": chosen.job_id}))


@pytest.mark.parametrize("is_held", [False, True])
def test_a_chosen_dream_of_an_earlier_event_comes_when_it_is_shown_and_no_other_screen_hears_of_it(
    settings: Settings, client: redis.Redis, pipeline: FakePipeline, *, is_held: bool
) -> None:
    """Seen failing: it stayed away until the screen connected again."""
    update_runtime_settings(client, approval=is_held)
    job = pipeline.add_dream((1, 2, 3))
    update_runtime_settings(
        client, approval=False, opened_at=2e9, screens={"best": Screen(content=Content.CHOSEN, dreams=(job.id,))}
    )

    def hide_and_show(screen_name: str, color: Color) -> list[Message]:
        last = pipeline.submit_photo(color)

        def act() -> None:
            dream_index = DreamIndex()
            dream_index.load_from_store(pipeline.store, lambda job_ids: [False] * len(job_ids), lambda: None)
            moderation = Moderation(settings, dream_index)
            if not is_held:
                moderation.hide(job.id)
            moderation.show(job.id)
            pipeline.fail_job(pipeline.claim_job(last))

        def is_last(kind: str, body: dict[str, Any]) -> bool:
            return kind == "ended" and body["job_id"] == last.id  # of which every screen hears

        return watch_screen(settings, screen_name, act, is_last)

    best = hide_and_show("best", (4, 5, 6))
    kind, body = [message for message in best if message[0] in ("snapshot", "dream", "gone")][-1]
    assert (kind, [dream["job_id"] for dream in body.get("dreams", [])]) == ("snapshot", [job.id])
    assert not any(kind == "dream" or body.get("dreams") for kind, body in hide_and_show("hall", (7, 8, 9)))


def test_a_connected_screen_follows_the_operator(
    settings: Settings, client: redis.Redis, pipeline: FakePipeline
) -> None:
    job, _ = (pipeline.add_dream((90 * number, 2, 3)) for number in range(2))
    screens = {"foyer": Screen(content=Content.CHOSEN, dreams=(job.id,))}
    received = watch_screen(
        settings,
        "foyer",
        lambda: update_runtime_settings(client, screens=screens),
        lambda kind, body: kind == "snapshot" and body["screen"]["content"] == "chosen",
    )
    assert [dream["job_id"] for dream in received[-1][1]["dreams"]] == [job.id]


def test_a_recipe_that_this_version_does_not_know_shows_no_running_job() -> None:
    screens = Screens(DreamIndex())
    screens.update({"foyer": Screen(content=Content.RECIPE, recipe="of-tomorrow")})
    assert not screens.shows("foyer", Change("frame", {"title": "Animals"}))
