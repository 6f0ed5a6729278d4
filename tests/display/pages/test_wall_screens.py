"""Several screens of one exhibition in real browsers, each with what the operator has chosen for it."""

import re
from collections import Counter
from collections.abc import Callable

import pytest
import redis
from playwright.sync_api import Page, Route, expect

from shared.art_map import MapPoint
from shared.jobs.events import Hidden
from shared.jobs.job import Job
from shared.jobs.table import JobTable
from shared.runtime_settings import update_runtime_settings
from shared.screens import Content, Layout, Screen
from shared.storage.object_names import art_map_name, dream_name, thumb_name
from tests.browser import install_clock
from tests.display.fake_pipeline import FakePipeline
from tests.display.pages.test_art_map import make_art_map
from tests.waiting import wait_until

OpenPage = Callable[..., Page]

GRID = Screen(layout=Layout.GRID)


def tile_selector(job: Job, kind: str = "dream") -> str:
    return f'.wall[data-scene=grid] .grid img[data-{kind}][data-job-id="{job.id}"][data-shown-at]'


def hide(client: redis.Redis, job: Job) -> None:
    JobTable(client).hide(Hidden(job_id=job.id, photo_id=job.photo_id))


@pytest.fixture
def open_screen(open_page: OpenPage) -> Callable[..., Page]:
    def open_screen(name: str, width: int = 1280, height: int = 720) -> Page:
        page = open_page(f"/?screen={name}", width, height, reduced_motion="reduce")
        page.wait_for_selector(".wall:not([data-scene=dark])")
        return page

    return open_screen


def test_a_grid_shows_dreams_side_by_side_and_each_emerges_in_its_own_tile(
    open_screen: OpenPage, client: redis.Redis, pipeline: FakePipeline
) -> None:
    update_runtime_settings(client, screens={"hall": GRID})
    jobs = [pipeline.add_dream((60 * number, 90, 40)) for number in range(4)]
    hall = open_screen("hall")
    for job in jobs:
        hall.wait_for_selector(tile_selector(job))
    boxes = [hall.locator(".grid li").nth(number).bounding_box() for number in range(4)]
    assert {(box["x"] // 600, box["y"] // 340) for box in boxes if box} == {(0, 0), (1, 0), (0, 1), (1, 1)}
    claim = pipeline.claim_job(pipeline.submit_photo((250, 0, 90)))
    pipeline.publish_frame(claim, 1)
    hall.wait_for_selector(tile_selector(claim.job, "frame"))
    tiles_before = [tile.get_attribute("data-job-id") for tile in hall.locator(".grid li").all()]
    assert tiles_before.count(claim.job.id) == 1
    pipeline.complete_job(claim)
    hall.wait_for_selector(tile_selector(claim.job))
    assert [tile.get_attribute("data-job-id") for tile in hall.locator(".grid li").all()] == tiles_before
    expect(hall.locator(".strip img").first).to_be_hidden()


@pytest.mark.parametrize(("screen", "name_of"), [(Screen(), thumb_name), (GRID, dream_name)], ids=["strip", "grid"])
def test_a_picture_that_is_not_there_is_not_asked_for_once_its_dream_has_left(
    new_page: OpenPage,
    client: redis.Redis,
    pipeline: FakePipeline,
    screen: Screen,
    name_of: Callable[[str], str],
) -> None:
    """Seen failing: a wall asked every eight seconds, forever, for each such picture."""
    update_runtime_settings(client, screens={"hall": screen})
    left, kept = (pipeline.add_dream((shade, 90, 40), thumb=True) for shade in (10, 200))
    requests = Counter[str]()

    def refuse(route: Route) -> None:
        requests[route.request.url.split("/")[-2]] += 1
        route.fulfill(status=404)

    hall = new_page(1280, 720, reduced_motion="reduce")
    hall.route(f"**/pictures/{name_of('*')}", refuse)
    install_clock(hall)
    hall.goto("/?screen=hall")

    def wait_for_requests(job: Job, number: int) -> None:
        def are_there() -> bool:
            hall.clock.fast_forward(9_000)
            return requests[job.id] >= number

        wait_until(are_there, "the picture is asked for", explain=lambda: str(requests))

    wait_for_requests(left, 2)
    hide(client, left)
    expect(hall.locator(f'.strip li[data-job-id="{kept.id}"]')).to_have_count(1)
    expect(hall.locator(f'.strip li[data-job-id="{left.id}"]')).to_have_count(0)
    before = requests[left.id]
    wait_for_requests(kept, requests[kept.id] + 4)
    assert requests[left.id] <= before + 1  # one may have been on its way


@pytest.mark.parametrize("is_announced", [True, False], ids=["event", "snapshot"])
def test_a_dream_that_leaves_a_screen_does_not_wait_for_the_picture_that_replaces_it(
    new_page: OpenPage, client: redis.Redis, pipeline: FakePipeline, is_announced: bool
) -> None:
    """Seen failing: it stayed large, with its photo and its title, until the next dream was loaded."""
    kept, left = (pipeline.add_dream((shade, 90, 40), thumb=True) for shade in (10, 200))
    hall, held = new_page(1280, 720, reduced_motion="reduce"), list[Route]()
    hall.route(f"**/pictures/{dream_name(kept.id)}", lambda route: held.append(route))
    hall.goto("/?screen=hall")
    hall.wait_for_selector(f'.wall[data-scene=dream] .dream img[data-job-id="{left.id}"]')
    hall.wait_for_selector(".photo img")
    with hall.expect_request(f"**/pictures/{dream_name(kept.id)}"):
        if is_announced:
            hide(client, left)
        else:
            chosen = Screen(content=Content.CHOSEN, dreams=(kept.id,))
            update_runtime_settings(client, screens={"hall": chosen})
    expect(hall.locator(f'[data-job-id="{left.id}"]')).to_have_count(0)
    expect(hall.locator(".photo img, .backdrop canvas, .fading")).to_have_count(0)
    expect(hall.locator(".title")).to_be_empty()
    held[0].fallback()
    hall.wait_for_selector(f'.wall[data-scene=dream] .dream img[data-job-id="{kept.id}"]')
    expect(hall.locator(".title")).to_have_text("Animals")


def test_a_frame_of_a_dream_that_is_held_meanwhile_leaves_a_screen_at_once(
    new_page: OpenPage, client: redis.Redis, pipeline: FakePipeline
) -> None:
    """Seen failing: it stayed until the next dream was loaded, although moderation had found it explicit."""
    finished = pipeline.add_dream((10, 90, 40), thumb=True)
    hall = new_page(1280, 720, reduced_motion="reduce")
    hall.route(f"**/pictures/{dream_name(finished.id)}", lambda _: None)  # never answered
    hall.goto("/?screen=hall")
    claim = pipeline.claim_job(pipeline.submit_photo((200, 90, 40)))
    frame = pipeline.publish_frame(claim, 0)
    hall.wait_for_selector(f'.wall[data-scene=emerging] img[data-frame="{frame}"][data-shown-at]')
    assert JobTable(client).record_progress(claim, frame, 0.9, hold=True)
    expect(hall.locator(f'[data-job-id="{claim.job.id}"]')).to_have_count(0)


def test_a_hidden_dream_leaves_its_tile_before_the_picture_that_replaces_it_is_loaded(
    new_page: OpenPage, client: redis.Redis, pipeline: FakePipeline
) -> None:
    """Seen failing: its picture and its title stayed in the tile until then."""
    update_runtime_settings(client, screens={"hall": GRID})
    waiting, *shown = [pipeline.add_dream((15 * number, 90, 40)) for number in range(13)]  # one more than has a tile
    hidden = shown[5]
    hall, held = new_page(1280, 720, reduced_motion="reduce"), list[Route]()
    hall.route(f"**/pictures/{dream_name(waiting.id)}", lambda route: held.append(route))
    hall.goto("/?screen=hall")
    for job in shown:
        hall.wait_for_selector(tile_selector(job))
    with hall.expect_request(f"**/pictures/{dream_name(waiting.id)}"):
        hide(client, hidden)
    expect(hall.locator(f'[data-job-id="{hidden.id}"]')).to_have_count(0)
    expect(hall.locator(".grid li:not(:has(img, canvas)) .tile-title:empty")).to_have_count(1)
    assert hall.locator(".grid li").count() == 12
    held[0].fallback()
    hall.wait_for_selector(tile_selector(waiting))


@pytest.mark.slow
def test_an_open_screen_changes_to_the_map_and_back_when_the_operator_says_so(
    open_screen: OpenPage, client: redis.Redis, pipeline: FakePipeline
) -> None:
    map_point = MapPoint(network="artists", photo=(-20, 0), dream=(30, 10))
    pipeline.store.put(art_map_name("artists"), make_art_map().model_dump_json().encode())
    job = pipeline.add_dream((10, 90, 40), map_point=map_point)
    screen = open_screen("foyer")
    update_runtime_settings(client, screens={"foyer": Screen(content=Content.MAP)})
    screen.wait_for_selector("body[data-scene=map][data-screen]")
    expect(screen).to_have_url(re.compile(r"/map\?screen=foyer$"))
    expect(screen.get_by_role("navigation")).to_be_hidden()
    update_runtime_settings(client, screens={"foyer": GRID, "other": Screen(content=Content.MAP)})
    screen.wait_for_selector(tile_selector(job))


def test_a_screen_without_a_dream_of_its_own_invites(
    open_screen: OpenPage, client: redis.Redis, pipeline: FakePipeline
) -> None:
    pipeline.add_dream((10, 90, 40))
    screens = {"foyer": Screen(content=Content.RECIPE, recipe="eyes", layout=Layout.GRID)}
    update_runtime_settings(client, screens=screens)
    foyer = open_screen("foyer")
    foyer.wait_for_selector(".wall[data-scene=invitation]")
    assert foyer.locator(".grid li").count() == 0
