"""What there is to show, made from events."""

from dataclasses import replace

from display.state.live_state import JOB_LOST_AFTER_SECONDS, LiveState
from display.web.sse import MAX_QUEUED_MESSAGES, SseMessage, Viewer
from shared.jobs.events import Accepted, Completed, Event, Failed, FileRejected, Progress, RecordedEvent, Started
from shared.storage.object_names import dream_name, photo_name

PHOTO = "a" * 64


def at(second: float, event: Event) -> RecordedEvent:
    return RecordedEvent(f"{round(second * 1000)}-0", event)


def accepted(job: str) -> Accepted:
    return Accepted(job_id=job, photo_id=PHOTO, title="Animals", lane="live")


def started(job: str) -> Started:
    return Started(job_id=job, photo_id=PHOTO, title="Animals", worker="w")


def completed(job: str) -> Completed:
    return Completed(
        job_id=job,
        photo_id=PHOTO,
        recipe="animals",
        title="Animals",
        photo=photo_name(PHOTO),
        dream=dream_name(job),
        stages={},
    )


def shown(scene: LiveState, now: float = 0) -> tuple[list[str], int]:
    snapshot = scene.snapshot(now)
    running = [entry["job_id"] for entry in snapshot["running"]]  # type: ignore[attr-defined]
    return running, snapshot["waiting"]  # type: ignore[return-value]


def test_a_job_waits_runs_and_becomes_a_dream() -> None:
    scene = LiveState()
    scene.apply(at(1, accepted("x")))
    assert shown(scene) == ([], 1)
    scene.apply(at(2, started("x")))
    scene.apply(at(3, Progress(job_id="x", photo_id=PHOTO, frame="dreams/x/frames/00.jpg", fraction=0.2)))
    assert shown(scene) == (["x"], 0)
    assert scene.is_visible("x")
    assert scene.is_photo_visible(photo_name(PHOTO))
    scene.apply(at(4, completed("x")))
    assert shown(scene) == ([], 0)
    assert not scene.is_visible("x")


def test_what_is_told_late_or_twice_brings_nothing_back() -> None:
    """Seen failing without `_ended`: a frame that came late emerged for a minute, an echo waited for ever."""
    scene = LiveState()
    frame = Progress(job_id="x", photo_id=PHOTO, frame="dreams/x/frames/00.jpg", fraction=0.2)
    way: list[Event] = [accepted("x"), started("x"), frame, completed("x")]
    for second, event in enumerate(way):
        scene.apply(at(second, event))
    for second, event in enumerate([accepted("x"), frame, completed("x"), frame, accepted("x")]):
        scene.apply(at(10 + second, event))
        assert shown(scene, now=10 + second) == ([], 0)


def test_a_job_that_failed_may_wait_again() -> None:
    scene = LiveState()
    scene.apply(at(1, started("x")))
    scene.apply(at(2, Failed(job_id="x", photo_id=PHOTO, reason="r")))
    scene.apply(at(3, accepted("x")))
    assert shown(scene) == ([], 1)


def test_a_failed_job_is_forgotten() -> None:
    scene = LiveState()
    scene.apply(at(1, started("x")))
    scene.apply(at(2, Failed(job_id="x", photo_id=PHOTO, reason="r")))
    assert shown(scene) == ([], 0)


def test_a_job_whose_worker_has_vanished_is_no_longer_shown() -> None:
    scene = LiveState()
    scene.apply(at(1, started("x")))
    assert shown(scene, now=JOB_LOST_AFTER_SECONDS)[0] == ["x"]
    assert shown(scene, now=1 + JOB_LOST_AFTER_SECONDS)[0] == []


def test_nothing_is_seen_of_a_job_that_waits_for_approval() -> None:
    scene = LiveState()
    scene.apply(replace(at(1, accepted("x")), held=True))
    assert shown(scene) == ([], 1)
    scene.apply(replace(at(2, started("x")), held=True))
    assert shown(scene) == ([], 0)
    frame = Progress(job_id="x", photo_id=PHOTO, frame="dreams/x/frames/00.jpg", fraction=0.2)
    assert scene.apply(replace(at(3, frame), held=True)) is None
    assert not scene.is_visible("x")
    assert not scene.is_photo_visible(photo_name(PHOTO))


def test_a_dream_that_emerges_is_taken_down_when_approval_is_asked_for() -> None:
    scene = LiveState()
    scene.apply(at(1, started("x")))
    frame = Progress(job_id="x", photo_id=PHOTO, frame="dreams/x/frames/00.jpg", fraction=0.2)
    change = scene.apply(replace(at(2, frame), held=True))
    assert change
    assert (change.kind, change.body["job_id"]) == ("ended", "x")
    assert shown(scene) == ([], 0)


def test_a_refused_file_is_not_the_guests_business() -> None:
    assert LiveState().apply(at(1, FileRejected(file="f", reason="r"))) is None


def test_a_slow_viewer_is_cut_off_and_keeps_nothing() -> None:
    viewer = Viewer()
    message = SseMessage(b"x")
    assert all(viewer.offer(message) for _ in range(MAX_QUEUED_MESSAGES))
    assert not viewer.offer(message)
    assert viewer._queue.qsize() == 1  # only the word that it is over
