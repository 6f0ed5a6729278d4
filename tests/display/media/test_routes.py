"""The routes beside Streamlit's own, requested by a browser and by an attacker."""

import http.client
import json
import shutil
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from display.media.routes import MAX_PART_BYTES
from shared.jobs.job import Job
from shared.runtime_settings import update_runtime_settings
from shared.storage.object_names import (
    clip_name,
    dream_name,
    frame_name,
    photo_name,
    preview_name,
    sidecar_name,
    thumb_name,
    working_photo_name,
    zoom_name,
)
from tests.display.conftest import DisplayProcess
from tests.display.fake_pipeline import Color, FakePipeline
from tests.waiting import wait_until


def send_request(
    display: DisplayProcess, path: str, *, method: str = "GET", **headers: str
) -> http.client.HTTPResponse:
    """Send a request with the path unchanged; the attribute `body` of the response is its content."""
    connection = http.client.HTTPConnection("127.0.0.1", display.settings.port, timeout=60)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        return response
    finally:
        connection.close()


def add_shown_dream(display: DisplayProcess, pipeline: FakePipeline, color: Color) -> Job:
    """Complete a dream and wait until the display serves it; return its job."""
    job = pipeline.add_dream(color)
    wait_until(lambda: send_request(display, f"/pictures/{dream_name(job.id)}").status == 200, "the dream is shown")
    return job


def test_a_dream_is_served_once_and_then_kept_by_the_browser(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    path = f"/pictures/{dream_name(job.id)}"
    response = send_request(display, path)
    assert response.status == 200
    assert response.getheader("Content-Type") == "image/jpeg"
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    assert "no-cache" in (response.getheader("Cache-Control") or "")  # it may be deleted
    assert send_request(display, path, If_None_Match=response.getheader("ETag") or "").status == 304
    assert send_request(display, f"/pictures/{photo_name(job.photo_id)}").status == 200


def test_the_clips_of_a_dream_are_served_as_what_they_are(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    media_types = {clip_name: "video/mp4", zoom_name: "video/mp4", preview_name: "image/webp"}
    for make_name, media_type in media_types.items():
        assert send_request(display, f"/pictures/{make_name(job.id)}").status == 404
        pipeline.store.put(make_name(job.id), b"moving")
        response = send_request(display, f"/pictures/{make_name(job.id)}")
        assert (response.status, response.getheader("Content-Type")) == (200, media_type)
        assert response.body == b"moving"  # type: ignore[attr-defined]


def test_a_phone_gets_the_parts_of_a_video_that_it_asks_for(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    pipeline.store.put(clip_name(job.id), b"0123456789")
    path = f"/pictures/{clip_name(job.id)}"
    full_response = send_request(display, path)
    assert full_response.getheader("Accept-Ranges") == "bytes"
    for byte_range, expected in {
        "0-1": b"01",
        "4-": b"456789",
        "-3": b"789",
        "8-99": b"89",
        "-99": b"0123456789",
    }.items():
        response = send_request(
            display, path, Range=f"bytes={byte_range}", If_Range=full_response.getheader("ETag") or ""
        )
        start = b"0123456789".index(expected)
        assert (response.status, response.body) == (206, expected)  # type: ignore[attr-defined]
        assert response.getheader("Content-Range") == f"bytes {start}-{start + len(expected) - 1}/10"
        assert response.getheader("Content-Type") == "video/mp4"
    for unsatisfiable in ("10-", "-0"):
        response = send_request(display, path, Range=f"bytes={unsatisfiable}")
        assert (response.status, response.getheader("Content-Range")) == (416, "bytes */10")
    for ignored_range in ("bytes=0-1,4-5", "bytes=7-3", "pages=1"):
        response = send_request(display, path, Range=ignored_range)
        assert (response.status, response.body) == (200, b"0123456789")  # type: ignore[attr-defined]
    response_after_change = send_request(display, path, Range="bytes=0-1", If_Range='"old"')
    assert response_after_change.body == b"0123456789"  # type: ignore[attr-defined]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs the system's count of the bytes that are read")
def test_a_phone_that_asks_for_parts_of_a_large_video_has_no_more_of_it_read(
    display: DisplayProcess, pipeline: FakePipeline
) -> None:
    """Seen failing: each part cost the whole video."""
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    size = 30_000_000
    pipeline.store.put(zoom_name(job.id), bytes(size))

    def count_read_bytes() -> int:
        counters = Path(f"/proc/{display.pid}/io").read_text().splitlines()
        return int(next(line.split()[1] for line in counters if line.startswith("rchar:")))

    read_before = count_read_bytes()
    for byte_range, expected in {
        "0-": (0, MAX_PART_BYTES),  # a browser aborts this one when it has enough, and a server cannot know when
        "0-1": (0, 2),
        f"{size - 70_000}-": (size - 70_000, size),
    }.items():
        response = send_request(display, f"/pictures/{zoom_name(job.id)}", Range=f"bytes={byte_range}")
        begin, end = expected
        assert (response.status, len(response.body)) == (206, end - begin)  # type: ignore[attr-defined]
        assert response.getheader("Content-Range") == f"bytes {begin}-{end - 1}/{size}"
    assert count_read_bytes() - read_before < MAX_PART_BYTES + 1_000_000


PATH_TRICKS = [
    "../data/store/secret.jpg",
    "..%2f..%2fsecret.jpg",
    "%2e%2e/%2e%2e/etc/passwd",
    "photos/../photos/{photo}.jpg",
    "photos//{photo}.jpg",
    "photos/{photo}.jpg/",
    "photos/{photo}.jpg%00",
    "photos/{photo}.jpg%0a%0a",
    "photos/{photo}.JPG",
    "/photos/{photo}.jpg",
    "dreams/{job}/dream.json",
    "dreams/{job}/dream.mp4",
    "dreams/{job}/zoom.webp",
    "photos/{photo}.mp4",
    "dreams/{job}/frames/../dream.jpg",
    "dreams/{job}/frames/04.jpg%2f..%2f..%2fdream.json",
    "dreams/*/dream.jpg",
    "references/secret.jpg",
    "secret.jpg",
    "",
]


def test_a_path_trick_shows_nothing(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    assert pipeline.store.get(sidecar_name(job.id))
    pipeline.store.put("secret.jpg", b"secret")
    pipeline.store.put("references/secret.jpg", b"secret")
    for trick in PATH_TRICKS:
        path = "/pictures/" + trick.format(photo=job.photo_id, job=job.id)
        response = send_request(display, path)
        assert response.getheader("Content-Type") != "image/jpeg", path
        assert b"secret" not in response.body, path  # type: ignore[attr-defined]
        assert b'"seed"' not in response.body, path  # type: ignore[attr-defined]
        assert response.status in (400, 404), path


def test_a_picture_that_is_not_there_is_asked_for_again_next_time(display: DisplayProcess) -> None:
    response = send_request(display, f"/pictures/photos/{'a' * 64}.jpg")
    assert response.status == 404
    assert response.getheader("Cache-Control") == "no-store"


def test_a_store_that_is_away_is_said_to_be_away(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    folder = display.settings.data / "store" / "photos"
    shutil.rmtree(folder)
    folder.touch()  # the store's folder exists but cannot be read
    assert send_request(display, f"/pictures/{photo_name(job.photo_id)}").status == 503


def test_nothing_that_is_not_shown_is_given_away(display: DisplayProcess, pipeline: FakePipeline) -> None:
    update_runtime_settings(pipeline.client, approval=True)
    job = pipeline.add_dream((1, 2, 3))
    shown_job = add_approved_dream(display, pipeline)
    for name in (dream_name(job.id), thumb_name(job.id), frame_name(job.id, 4), photo_name(job.photo_id)):
        assert pipeline.store.get(name) or name == thumb_name(job.id)
        assert send_request(display, f"/pictures/{name}").status == 404, name
    running = pipeline.submit_photo((4, 5, 6))
    announced = pipeline.publish_frame(pipeline.claim_job(running), 1)
    wait_until(lambda: send_request(display, f"/pictures/{announced}").status == 200, "the frame is shown")
    for name in (frame_name(running.id, 2), dream_name(running.id)):
        pipeline.store.put(name, b"not announced yet")
        assert send_request(display, f"/pictures/{name}").status == 404, name
    assert send_request(display, f"/gallery/dreams/{job.id}").status == 404
    page = json.loads(send_request(display, "/gallery/dreams").body)  # type: ignore[attr-defined]
    assert [dream["job_id"] for dream in page["dreams"]] == [shown_job.id]


def add_approved_dream(display: DisplayProcess, pipeline: FakePipeline) -> Job:
    """Complete a dream and wait until it is shown: the display has then processed all events before it."""
    update_runtime_settings(pipeline.client, approval=False)
    return add_shown_dream(display, pipeline, (7, 8, 9))


def test_who_sends_text_where_streamlit_takes_bytes_fills_no_log(display: DisplayProcess) -> None:
    for _ in range(3):
        url = f"ws://127.0.0.1:{display.settings.port}/_stcore/stream"
        with connect(url, subprotocols=[Subprotocol("streamlit")]) as socket:
            socket.send("this is text")
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=20)
    assert display.stop()[:2] == (0, "")


def test_a_photo_that_is_still_being_uploaded_is_shown_small_until_it_is_there(
    display: DisplayProcess, pipeline: FakePipeline
) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    path, jpeg = f"/pictures/{photo_name(job.photo_id)}", pipeline.store.get(photo_name(job.photo_id)) or b""
    pipeline.store.put(working_photo_name(job.photo_id), b"small")
    pipeline.store.delete(photo_name(job.photo_id))
    response = send_request(display, path)
    assert (response.status, response.body) == (200, b"small")  # type: ignore[attr-defined]
    assert (response.getheader("Cache-Control"), response.getheader("ETag")) == ("no-store", None)
    pipeline.store.put(photo_name(job.photo_id), jpeg)
    assert send_request(display, path).body == jpeg  # type: ignore[attr-defined]
    assert send_request(display, f"/pictures/{working_photo_name(job.photo_id)}").status == 404
