"""Share pages: a QR code on the wall leads a phone to one dream, and to no other."""

import io
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from display.moderation import Moderation
from display.pages.share import MAX_COUNTED_EVENTS
from display.pages.share_links import ShareLinks
from display.state.dream_index import DreamIndex
from shared.jobs.clip_requests import ClipFormat, take_clip_request
from shared.jobs.events import Hidden
from shared.jobs.table import JobTable
from shared.monitoring.usage_counts import read_usage_counts
from shared.monitoring.usage_report import merge_counts
from shared.provenance.embedding import embed, read_statement
from shared.provenance.statement import Statement
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import clip_name, dream_name, gif_name, square_name
from shared.storage.sidecar import read_sidecar
from shared.storage.store import Store
from tests.browser import ContextPool, install_clock
from tests.display.conftest import PUBLIC_URL, DisplayProcess, make_page, running_display
from tests.display.fake_pipeline import FakePipeline, make_circle_jpeg
from tests.display.media.test_routes import add_shown_dream, send_request
from tests.servers import S3Server
from tests.stack import run_in_process
from tests.waiting import wait_until
from tests.worker.clips.videos import Pictures, make_pictures
from worker.clips.video_encoder import encode_mp4

OpenPhone = Callable[..., Page]


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    return display_settings.model_copy(update={"public_url": PUBLIC_URL})


@pytest.fixture
def open_phone(open_page: Callable[..., Page]) -> OpenPhone:
    """Open a path in a browser of a phone's size."""

    def open_phone(path: str, **options: object) -> Page:
        return open_page(path, 390, 844, has_touch=True, **options)

    return open_phone


def read_qr_codes(page: Page, *beginnings: str) -> list[str]:
    """Return the texts of the QR codes on a page, as soon as one with each of these beginnings can be read."""
    texts: list[str] = []

    def can_be_read() -> bool:
        screenshot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        texts[:] = [code.text for code in zxingcpp.read_barcodes(screenshot)]
        return all(any(text.startswith(beginning) for text in texts) for beginning in beginnings)

    wait_until(can_be_read, "the codes can be read")
    return texts


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1440, 900), (1080, 1920)])
def test_the_wall_shows_a_code_beside_the_dream_that_a_phone_can_read(
    open_wall: Callable[..., Page], pipeline: FakePipeline, share_links: ShareLinks, width: int, height: int
) -> None:
    wall = open_wall(width, height)
    job = pipeline.add_dream((10, 90, 40))
    wall.wait_for_selector(f'.wall[data-scene=dream][data-home="{job.id}"]')
    expect(wall.get_by_alt_text("QR code: opens this dream on your phone")).to_be_visible()
    (url,) = [text for text in read_qr_codes(wall, f"{PUBLIC_URL}/t/") if "/t/" in text]
    link = share_links.parse_token(url.rpartition("/")[2])
    assert link
    assert link.job_id == job.id
    box = wall.locator(".home img").bounding_box()
    assert box
    assert box["width"] >= height / 9  # 12 cm on a screen of 1.2 m
    for part in (".home", ".photo", ".label"):
        bounds = wall.locator(part).bounding_box()
        assert bounds
        assert bounds["x"] >= 0
        assert bounds["x"] + bounds["width"] <= width
        assert bounds["y"] + bounds["height"] <= height


def test_a_gallery_shows_the_code_too(
    open_page: Callable[..., Page], pipeline: FakePipeline, share_links: ShareLinks
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    page = open_page("/gallery")
    page.locator(".dreams button").first.click()
    expect(page.locator(".home img")).to_be_visible()
    (url,) = read_qr_codes(page, PUBLIC_URL)
    link = share_links.parse_token(url.rpartition("/")[2])
    assert link
    assert link.job_id == job.id


def test_a_wall_that_no_phone_can_reach_shows_no_code(
    display_settings: Settings, pipeline: FakePipeline, contexts: ContextPool
) -> None:
    with running_display(display_settings.model_copy(update={"public_url": None})) as display:
        job = pipeline.add_dream((10, 90, 40))
        wall = make_page(contexts, display)
        wall.goto("/")
        wall.wait_for_selector(f'.wall[data-scene=dream] .photo img[data-job-id="{job.id}"]')
        expect(wall.locator(".home")).to_be_hidden()
        assert send_request(display, f"/qr/{job.id}.svg").status == 404


def test_a_dream_is_looked_at_kept_and_shared(
    open_phone: OpenPhone, pipeline: FakePipeline, share_links: ShareLinks
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    phone = open_phone(f"/t/{share_links.make_token(job.id)}", accept_downloads=True)
    expect(phone.get_by_role("heading", name="Animals")).to_be_visible()
    expect(phone.get_by_alt_text("The photo’s dream of Animals")).to_be_visible()
    expect(phone.get_by_text("Made from a photo by AI.")).to_be_visible()
    expect(phone.get_by_text("This link works until")).to_be_visible()
    slider = phone.get_by_label("Photo or dream")
    slider.press("End")
    assert phone.locator(".picture").evaluate("place => place.style.getPropertyValue('--split')") == "100%"
    with phone.expect_download() as download:
        phone.get_by_role("link", name="Save the dream").click()
    assert download.value.suggested_filename == f"animals-{job.id[:8]}.jpg"
    assert Path(download.value.path()).read_bytes() == pipeline.store.get(dream_name(job.id))
    assert phone.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.slow
def test_what_a_phone_saves_says_that_it_is_a_dream(
    open_phone: OpenPhone, pipeline: FakePipeline, share_links: ShareLinks, tmp_path: Path
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    sidecar = read_sidecar(pipeline.store, job.id)
    assert sidecar
    statement = Statement.of_sidecar(sidecar)
    pipeline.store.put(dream_name(job.id), embed(make_circle_jpeg((10, 90, 40)), statement))
    pipeline.store.put(clip_name(job.id), embed(encode_mp4(Pictures(make_pictures(20, (96, 64)))), statement))
    phone = open_phone(f"/t/{share_links.make_token(job.id)}", accept_downloads=True)
    phone.wait_for_selector(".picture img[data-name='dream.jpg']")
    with phone.expect_download() as dream:
        phone.get_by_role("link", name="Save the dream").click()
    with phone.expect_download() as video:
        phone.get_by_role("link", name="Save the video").click()
    with phone.expect_download() as picture:  # as the browser's own “Save image”, which keeps what it has loaded
        phone.evaluate(
            "() => Object.assign(document.createElement('a'),"
            " {href: document.querySelector('.picture img').src, download: 'image.jpg'}).click()"
        )
    for number, download in enumerate((dream, video, picture)):
        path = tmp_path / f"{number}-{download.value.suggested_filename}"
        download.value.save_as(path)
        assert read_statement(path.read_bytes()) == statement


def read_counts(pipeline: FakePipeline) -> Counter[str]:
    return merge_counts(read_usage_counts(pipeline.client, pipeline.store, 0, 2**31).values())


def test_a_link_that_is_opened_and_a_dream_that_is_saved_are_counted_and_loading_again_is_not(
    open_phone: OpenPhone, pipeline: FakePipeline, share_links: ShareLinks
) -> None:
    path = f"/t/{share_links.make_token(pipeline.add_dream((10, 90, 40)).id)}"
    phones = [open_phone(path, accept_downloads=True) for _ in range(2)]
    for phone in phones:
        phone.reload()
        with phone.expect_download():
            phone.get_by_role("link", name="Save the dream").click()
    wait_until(lambda: read_counts(pipeline)["saved"] == 2, "the saved dreams are counted")
    counts = read_counts(pipeline)
    assert counts["opened"] == 2
    assert not phones[0].context.cookies(phones[0].url)  # none is sent with what is counted
    assert phones[0].evaluate("localStorage.length + sessionStorage.length") == 0


def test_nobody_but_the_page_itself_is_counted_and_no_link_without_end(
    display: DisplayProcess, pipeline: FakePipeline, share_links: ShareLinks
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    path, own = f"/t/{share_links.make_token(job.id)}/saved", display.url
    assert send_request(display, path, method="POST").status == 403
    assert send_request(display, path, method="POST", Origin="http://elsewhere.example").status == 403
    assert send_request(display, f"/t/{'x' * 40}/saved", method="POST", Origin=own).status == 403
    expired = share_links.make_token(job.id, expires_at=time.time() - 7200)
    assert send_request(display, f"/t/{expired}/saved", method="POST", Origin=own).status == 403
    for _ in range(MAX_COUNTED_EVENTS + 5):
        assert send_request(display, path, method="POST", Origin=own).status == 204
    wait_until(lambda: read_counts(pipeline)["saved"] >= MAX_COUNTED_EVENTS, "the saved dreams are counted")
    assert read_counts(pipeline)["saved"] == MAX_COUNTED_EVENTS


def test_sharing_hands_over_the_picture_where_the_browser_can_and_copies_the_link_elsewhere(
    open_phone: OpenPhone, pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    path = f"/t/{share_links.make_token(pipeline.add_dream((10, 90, 40)).id)}"
    phone = open_phone(path)
    phone.add_init_script(
        "navigator.canShare = () => true;"
        "navigator.share = async ({url, files}) => { window.shared = [url, files ? files[0].size : 0] }"
    )
    with phone.expect_response(lambda response: response.url.endswith("clip.mp4")):
        phone.reload()
    phone.wait_for_selector(".picture .photo", state="attached")

    def share_picture() -> bool:
        """Share once more; until the page has loaded the picture, it shares the link alone."""
        phone.get_by_role("button", name="Share").click()
        url, size = phone.evaluate("window.shared") or ["", 0]
        return bool(url == display.url + path and size > 500)

    wait_until(share_picture, "the page shares the picture")
    phone_without_sharing = open_phone(path)
    phone_without_sharing.add_init_script("delete Navigator.prototype.share; delete Navigator.prototype.clipboard")
    phone_without_sharing.reload()
    phone_without_sharing.get_by_role("button", name="Share").click()
    expect(phone_without_sharing.get_by_text("The link is copied")).to_be_visible()


def test_whoever_waits_sees_the_own_photo_wait_emerge_and_end_as_a_dream(
    open_phone: OpenPhone, pipeline: FakePipeline, share_links: ShareLinks
) -> None:
    pipeline.add_dream((1, 1, 1))
    other = pipeline.claim_job(pipeline.submit_photo((2, 2, 2)))
    job = pipeline.submit_photo((10, 90, 40))
    phone = open_phone(f"/t/{share_links.make_token(job.id)}")
    expect(phone.get_by_role("heading", name="Your photo is waiting for its dream")).to_be_visible()
    expect(phone.get_by_text(re.compile(r"one photo ahead of yours, about \d+ sec"))).to_be_visible()
    pipeline.complete_job(other)
    claim = pipeline.claim_job(job)
    expect(phone.locator("img[data-name='photo.jpg']")).to_be_visible()
    pipeline.publish_frame(claim, 2)
    expect(phone.locator("img[data-name='frame-02.jpg']")).to_be_visible()
    expect(phone.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "60")
    pipeline.complete_job(claim)
    expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible()
    expect(phone.get_by_role("link", name="Save the dream")).to_be_visible()


def test_a_photo_that_cannot_be_dreamt_is_said_to_be_so(
    open_phone: OpenPhone, pipeline: FakePipeline, share_links: ShareLinks
) -> None:
    claim = pipeline.claim_job(pipeline.submit_photo((10, 90, 40)))
    phone = open_phone(f"/t/{share_links.make_token(claim.job.id)}?lang=de")
    pipeline.fail_job(claim)
    expect(phone.get_by_text("Dein Foto konnte nicht geträumt werden")).to_be_visible()


def test_an_expired_link_says_so_and_shows_nothing(
    open_phone: OpenPhone, pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    token = share_links.make_token(pipeline.add_dream((10, 90, 40)).id, expires_at=time.time() - 7200)
    phone = open_phone(f"/t/{token}")
    expect(phone.get_by_role("heading", name="This link has expired")).to_be_visible()
    expect(phone.locator("img")).to_have_count(0)
    assert send_request(display, f"/t/{token}").status == 410
    for name in ("dream.jpg", "photo.jpg", "clip.mp4", "thumb.jpg"):
        assert send_request(display, f"/t/{token}/{name}").status == 410


def test_the_operator_gives_a_new_link_for_an_expired_one(
    pipeline: FakePipeline, share_links: ShareLinks, display_settings: Settings, tmp_path: Path
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    expired_token = share_links.make_token(job.id, expires_at=time.time() - 7200)
    environment = display_settings.to_environment()
    for argument in (f"{PUBLIC_URL}/t/{expired_token}", job.id, job.id[:8]):
        completed = run_in_process("jobs", "link", argument, folder=tmp_path, environment=environment)
        link = share_links.parse_token(completed.stdout.strip().rpartition("/")[2])
        assert link
        assert (link.job_id, link.is_expired) == (job.id, False)


def test_a_forged_link_is_none(
    open_phone: OpenPhone, pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    other_settings = Settings(data=display.settings.data / "elsewhere", _env_file=None)
    for token in (ShareLinks(other_settings).make_token(job.id), "A" * 40, job.id, "..%2f"):
        assert send_request(display, f"/t/{token}").status in (400, 404)
        assert send_request(display, f"/t/{token}/dream.jpg").status in (400, 404)
    phone = open_phone(f"/t/{'A' * 40}")
    expect(phone.get_by_role("heading", name="This link is not valid")).to_be_visible()


def test_a_link_leads_to_its_own_dream_and_no_further(
    display: DisplayProcess, pipeline: FakePipeline, share_links: ShareLinks
) -> None:
    job, other_job = pipeline.add_dream((10, 90, 40)), pipeline.add_dream((90, 10, 40))
    path = f"/t/{share_links.make_token(job.id)}"
    for name in (
        other_job.id,
        f"..%2f{share_links.make_token(other_job.id)}%2fdream.jpg",
        f"../../pictures/{dream_name(other_job.id)}",
        "dream.json",
        "frame-00.jpg",  # frames of a completed dream are not served
        "clip.webp",
    ):
        response = send_request(display, f"{path}/{name}")
        assert response.getheader("Content-Type") != "image/jpeg", name
        assert response.status in (400, 404), name
    state = send_request(display, f"{path}/state").body  # type: ignore[attr-defined]
    assert other_job.id[:8].encode() not in state
    assert job.photo_id.encode() not in state
    assert send_request(display, f"/t/{share_links.make_token('f' * 32)}").status == 404


def test_every_answer_is_asked_for_anew_and_tells_nobody_the_link(
    display: DisplayProcess, pipeline: FakePipeline, share_links: ShareLinks
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    pipeline.store.put(clip_name(job.id), b"0123456789")
    path = f"/t/{share_links.make_token(job.id)}"
    wait_until(lambda: send_request(display, f"{path}/dream.jpg").status == 200, "the dream is there")
    page = send_request(display, path)
    assert "default-src 'none'" in (page.getheader("Content-Security-Policy") or "")
    assert "unsafe" not in (page.getheader("Content-Security-Policy") or "")
    assert page.getheader("Cache-Control") == "no-store"
    assert page.getheader("Referrer-Policy") == "no-referrer"
    assert page.getheader("X-Robots-Tag") == "noindex"
    picture = send_request(display, f"{path}/dream.jpg")
    assert picture.getheader("Cache-Control") == "private, no-cache"
    assert picture.getheader("X-Content-Type-Options") == "nosniff"
    assert send_request(display, f"{path}/dream.jpg", If_None_Match=picture.getheader("ETag") or "").status == 304
    partial_response = send_request(display, f"{path}/clip.mp4", Range="bytes=2-3")
    assert (partial_response.status, partial_response.body) == (206, b"23")  # type: ignore[attr-defined]
    assert send_request(display, "/share/share.py").status == 404


@pytest.fixture
def moderation(display: DisplayProcess, display_settings: Settings, pipeline: FakePipeline) -> Callable[[], Moderation]:
    """Return the moderation of another display, which knows all dreams of the store."""

    def moderation() -> Moderation:
        dream_index = DreamIndex()
        dream_index.load_from_store(pipeline.store, lambda job_ids: [False] * len(job_ids), lambda: None)
        return Moderation(display_settings, dream_index)

    return moderation


def test_a_dream_that_waits_for_approval_is_not_shown_and_a_deleted_one_is_gone(
    new_page: Callable[..., Page],
    pipeline: FakePipeline,
    share_links: ShareLinks,
    display: DisplayProcess,
    moderation: Callable[[], Moderation],
) -> None:
    """Seen failing: a phone that had the page open kept a deleted dream forever."""
    update_runtime_settings(pipeline.client, approval=True)
    job = pipeline.add_dream((10, 90, 40))
    path = f"/t/{share_links.make_token(job.id)}"
    phone = new_page(390, 844, has_touch=True)
    install_clock(phone)
    phone.goto(path)
    expect(phone.get_by_role("heading", name="Your dream is waiting for approval")).to_be_visible()
    assert send_request(display, f"/qr/{job.id}.svg").status == 404
    for name in ("dream.jpg", "photo.jpg", "frame-04.jpg"):
        assert send_request(display, f"{path}/{name}").status == 404
    moderation().show(job.id)
    expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible()
    moderation().delete(job.id)
    wait_until(lambda: send_request(display, f"{path}/dream.jpg").status == 404, "the display knows")
    phone.clock.fast_forward(10_000)
    expect(phone.get_by_role("heading", name="This dream is no longer shown")).to_be_visible()
    expect(phone.locator("img")).to_have_count(0)


def test_an_open_page_lets_go_of_a_hidden_dream_and_shows_it_again_as_at_first(
    new_page: Callable[..., Page],
    pipeline: FakePipeline,
    share_links: ShareLinks,
    display: DisplayProcess,
    moderation: Callable[[], Moderation],
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    pipeline.store.put(clip_name(job.id), encode_mp4(Pictures(make_pictures(4, (64, 48)))))
    path = f"/t/{share_links.make_token(job.id)}"
    phone = new_page(390, 844, has_touch=True)
    phone.add_init_script("window.shared = 0; navigator.share = async () => { window.shared++ }")
    install_clock(phone)
    phone.goto(path)
    for _ in range(2):
        expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible()
        expect(phone.get_by_role("link", name="Save the video")).to_be_visible()
        expect(phone.locator(".formats button")).to_have_count(2)
        phone.evaluate("document.querySelector('.notice').textContent = 'a link to copy'")
        with phone.expect_response(lambda response: response.url.endswith("/state")):
            phone.clock.fast_forward(10_000)  # nothing has changed
        expect(phone.get_by_label("Photo or dream")).to_be_visible()
        expect(phone.locator(".notice")).to_have_text("a link to copy")
        expect(phone.locator(".formats button")).to_have_count(2)
        moderation().hide(job.id)
        wait_until(lambda: send_request(display, f"{path}/dream.jpg").status == 404, "the display knows")
        phone.clock.fast_forward(10_000)
        expect(phone.get_by_role("heading", name="This dream is no longer shown")).to_be_visible()
        expect(phone.locator("img, video[src]")).to_have_count(0)
        for part in (".actions", ".formats", "video", ".comparison input"):
            expect(phone.locator(part).first).to_be_hidden()
        moderation().show(job.id)
        wait_until(lambda: send_request(display, f"{path}/dream.jpg").status == 200, "the display knows")
        phone.clock.fast_forward(5_000)
    expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible()
    phone.get_by_role("button", name="Share").click()
    assert phone.evaluate("window.shared") == 1


def test_a_display_that_starts_again_takes_no_dream_from_an_open_page(
    new_page: Callable[..., Page], pipeline: FakePipeline, share_links: ShareLinks
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    phone = new_page(390, 844, has_touch=True)
    install_clock(phone)
    phone.goto(f"/t/{share_links.make_token(job.id)}")
    expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible()
    phone.route("**/state", lambda route: route.fulfill(json={"state": "away", "ends": time.time()}))
    with phone.expect_response(lambda response: response.url.endswith("/state")):
        phone.clock.fast_forward(10_000)
    with phone.expect_response(lambda response: response.url.endswith("/state")):
        phone.clock.fast_forward(2_000)
    expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible()
    expect(phone.get_by_role("heading", name="Animals")).to_be_visible()


def test_a_page_fetches_nothing_from_elsewhere_and_runs_no_title(
    open_phone: OpenPhone, pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    from tests.display.fake_pipeline import RECIPE

    job = pipeline.add_dream((1, 2, 3), recipe=RECIPE.model_copy(update={"title": '"><img src=x onerror=alert(1)>'}))
    phone = open_phone("/gallery")
    requested_urls: list[str] = []
    phone.on("request", lambda request: requested_urls.append(request.url))
    phone.on("dialog", lambda _: pytest.fail("a title ran as a script"))
    phone.goto(f"{display.url}/t/{share_links.make_token(job.id)}")
    expect(phone.get_by_role("heading", name='"><img src=x')).to_be_visible()
    expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible()
    assert [url for url in requested_urls if not url.startswith(display.url)] == []


def test_a_store_that_is_away_keeps_neither_guests_nor_the_wall_from_a_dream(
    display_settings: Settings, client: redis.Redis, s3: S3Server, contexts: ContextPool
) -> None:
    settings = display_settings.model_copy(update={"store_url": s3.url})
    with running_display(settings) as display:
        job = FakePipeline(client, Store(settings.store)).add_dream((10, 90, 40), thumb=True)
        cache_folder = settings.data / "cache"
        wait_until(lambda: len(list(cache_folder.glob("[!.]*"))) >= 3, "the dream is brought here")
        s3.stop()
        path = f"/t/{ShareLinks(settings).make_token(job.id)}"
        picture = send_request(display, f"{path}/dream.jpg").body  # type: ignore[attr-defined]
        assert picture == make_circle_jpeg((200, 60, 90))
        phone = make_page(contexts, display, 390, 844)
        phone.goto(path)
        expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible()
        wall = make_page(contexts, display)
        wall.goto("/")
        wall.wait_for_selector(f'.wall[data-scene=dream] .dream img[data-job-id="{job.id}"]')
        wall.wait_for_selector(f'.photo img[data-job-id="{job.id}"]')


def test_a_clip_is_made_into_a_gif_when_its_guest_asks_for_it(
    open_phone: OpenPhone, pipeline: FakePipeline, share_links: ShareLinks
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    pipeline.store.put(clip_name(job.id), encode_mp4(Pictures(make_pictures(4, (64, 48)))))
    phone = open_phone(f"/t/{share_links.make_token(job.id)}", accept_downloads=True)
    with phone.expect_download() as download:
        phone.get_by_role("link", name="Save the video").click()
    assert download.value.suggested_filename == f"animals-{job.id[:8]}.mp4"
    assert take_clip_request(pipeline.client) is None  # nothing is made that nobody wants
    phone.get_by_role("button", name="GIF for messengers").click()
    expect(phone.get_by_role("button", name="Being made …")).to_be_disabled()
    requests = list[object]()

    def is_requested() -> bool:
        requests.append(take_clip_request(pipeline.client))
        return requests[-1] is not None

    wait_until(is_requested, "the GIF is asked for")
    assert requests[-1] == (job.id, ClipFormat.GIF)
    with phone.expect_download() as download:
        pipeline.store.put(gif_name(job.id), b"GIF89a")
    assert download.value.suggested_filename == f"animals-{job.id[:8]}.gif"
    assert Path(download.value.path()).read_bytes() == b"GIF89a"
    expect(phone.get_by_role("link", name="Save the GIF")).to_be_visible()
    expect(phone.get_by_role("button", name="Square video")).to_be_enabled()


def test_a_format_is_made_once_and_only_for_a_dream_that_is_shown(
    pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    job = add_shown_dream(display, pipeline, (10, 90, 40))
    path = f"/t/{share_links.make_token(job.id)}"

    def post(name: str, origin: str = display.url) -> int:
        return send_request(display, f"{path}/{name}", method="POST", Origin=origin, Content_Length="0").status

    assert post("clip.gif") == 404  # its clip is not there yet
    pipeline.store.put(clip_name(job.id), b"a clip")
    assert post("clip.gif", "https://elsewhere.example") == 403
    assert [post(name) for name in ("clip.gif", "clip.gif", "square.mp4", "dream.gif")] == [202, 202, 202, 404]
    taken = [take_clip_request(pipeline.client) for _ in range(3)]
    assert taken == [(job.id, ClipFormat.GIF), (job.id, ClipFormat.SQUARE), None]
    pipeline.store.put(square_name(job.id), b"a square")
    assert post("square.mp4") == 200
    assert take_clip_request(pipeline.client) is None
    assert send_request(display, f"{path}/square.mp4").body == b"a square"  # type: ignore[attr-defined]
    JobTable(pipeline.client).hide(Hidden(job_id=job.id, photo_id=job.photo_id))
    wait_until(lambda: post("clip.gif") == 404, "the dream is hidden")
    assert send_request(display, f"{path}/square.mp4").status == 404
