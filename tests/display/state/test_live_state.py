"""The live state of the display, built from events."""

from dataclasses import replace

from display.state.live_state import JOB_LOST_AFTER_SECONDS, LiveState
from display.web.sse import MAX_QUEUED_MESSAGES, SseMessage, Viewer
from shared.jobs.events import Accepted, Completed, Event, Failed, FileRejected, Progress, RecordedEvent, Started
from shared.storage.object_names import dream_name, frame_name, photo_name

PHOTO_ID = "a" * 64


def record_event(second: float, event: Event) -> RecordedEvent:
    return RecordedEvent(f"{round(second * 1000)}-0", event)


def make_accepted(job: str) -> Accepted:
    return Accepted(job_id=job, photo_id=PHOTO_ID, title="Animals", lane="live")


def make_started(job: str) -> Started:
    return Started(job_id=job, photo_id=PHOTO_ID, title="Animals", worker="w")


def make_completed(job: str) -> Completed:
    return Completed(
        job_id=job,
        photo_id=PHOTO_ID,
        recipe="animals",
        title="Animals",
        photo=photo_name(PHOTO_ID),
        dream=dream_name(job),
        stages={},
    )


def read_snapshot(live_state: LiveState, now: float = 0) -> tuple[list[str], int]:
    snapshot = live_state.snapshot(now)
    running = [entry["job_id"] for entry in snapshot["running"]]  # type: ignore[attr-defined]
    return running, snapshot["waiting"]  # type: ignore[return-value]


def test_a_job_waits_runs_and_becomes_a_dream() -> None:
    live_state = LiveState()
    live_state.apply(record_event(1, make_accepted("x")))
    assert read_snapshot(live_state) == ([], 1)
    live_state.apply(record_event(2, make_started("x")))
    live_state.apply(
        record_event(3, Progress(job_id="x", photo_id=PHOTO_ID, frame="dreams/x/frames/00.jpg", fraction=0.2))
    )
    assert read_snapshot(live_state) == (["x"], 0)
    assert live_state.is_frame_visible("x", "dreams/x/frames/00.jpg")
    assert live_state.is_photo_visible(photo_name(PHOTO_ID))
    live_state.apply(record_event(4, make_completed("x")))
    assert read_snapshot(live_state) == ([], 0)
    assert not live_state.is_frame_visible("x", "dreams/x/frames/00.jpg")


def test_what_is_told_late_or_twice_brings_nothing_back() -> None:
    """Seen failing without `_ended`: a late frame was shown for a minute, a repeated event waited forever."""
    live_state = LiveState()
    frame = Progress(job_id="x", photo_id=PHOTO_ID, frame="dreams/x/frames/00.jpg", fraction=0.2)
    events: list[Event] = [make_accepted("x"), make_started("x"), frame, make_completed("x")]
    for second, event in enumerate(events):
        live_state.apply(record_event(second, event))
    events = [make_accepted("x"), frame, make_completed("x"), frame, make_accepted("x")]
    for second, event in enumerate(events):
        live_state.apply(record_event(10 + second, event))
        assert read_snapshot(live_state, now=10 + second) == ([], 0)


def test_a_job_that_failed_may_wait_again() -> None:
    live_state = LiveState()
    live_state.apply(record_event(1, make_started("x")))
    live_state.apply(record_event(2, Failed(job_id="x", photo_id=PHOTO_ID, reason="r")))
    live_state.apply(record_event(3, make_accepted("x")))
    assert read_snapshot(live_state) == ([], 1)


def test_a_failed_job_is_forgotten() -> None:
    live_state = LiveState()
    live_state.apply(record_event(1, make_started("x")))
    live_state.apply(record_event(2, Failed(job_id="x", photo_id=PHOTO_ID, reason="r")))
    assert read_snapshot(live_state) == ([], 0)


def test_a_job_whose_worker_has_vanished_is_no_longer_shown() -> None:
    live_state = LiveState()
    live_state.apply(record_event(1, make_started("x")))
    assert read_snapshot(live_state, now=JOB_LOST_AFTER_SECONDS)[0] == ["x"]
    assert read_snapshot(live_state, now=1 + JOB_LOST_AFTER_SECONDS)[0] == []


def test_jobs_whose_end_was_missed_are_neither_shown_nor_counted_and_viewers_are_told_in_few_messages() -> None:
    live_state, names = LiveState(), [f"{number}" for number in range(1000)]
    for name in names:
        live_state.apply(record_event(1, make_accepted(name)))
    for name in ("0", "1"):
        live_state.apply(record_event(2, make_started(name)))
    assert sorted(live_state.list_unfinished()) == sorted(names)
    changes = live_state.forget([name for name in names if name not in ("1", "999")], 3)
    assert [(change.kind, change.body["waiting"]) for change in changes] == [("ended", 1)]
    assert read_snapshot(live_state, now=3) == (["1"], 1)
    assert [change.kind for change in live_state.forget(["999"], 4)] == ["waiting"]
    assert live_state.forget(["999"], 5) == []
    live_state.apply(record_event(6, make_accepted("0")))  # its producer has submitted it again
    assert read_snapshot(live_state, now=6) == (["1"], 1)


def test_nothing_is_seen_of_a_job_that_waits_for_approval() -> None:
    live_state = LiveState()
    live_state.apply(replace(record_event(1, make_accepted("x")), held=True))
    assert read_snapshot(live_state) == ([], 1)
    live_state.apply(replace(record_event(2, make_started("x")), held=True))
    assert read_snapshot(live_state) == ([], 0)
    frame = Progress(job_id="x", photo_id=PHOTO_ID, frame="dreams/x/frames/00.jpg", fraction=0.2)
    assert live_state.apply(replace(record_event(3, frame), held=True)) is None
    assert not live_state.is_frame_visible("x", "dreams/x/frames/00.jpg")
    assert not live_state.is_photo_visible(photo_name(PHOTO_ID))


def test_a_dream_that_emerges_is_taken_down_when_approval_is_asked_for() -> None:
    live_state = LiveState()
    live_state.apply(record_event(1, make_started("x")))
    frame = Progress(job_id="x", photo_id=PHOTO_ID, frame="dreams/x/frames/00.jpg", fraction=0.2)
    change = live_state.apply(replace(record_event(2, frame), held=True))
    assert change
    assert (change.kind, change.body["job_id"]) == ("ended", "x")
    assert read_snapshot(live_state) == ([], 0)


def test_of_a_running_job_only_the_frames_that_were_announced_are_seen() -> None:
    """Its dream, and frames that are not announced yet, are in the store before it is decided whether they may be."""
    live_state = LiveState()
    live_state.apply(record_event(1, make_started("x")))
    names = [frame_name("x", 9), frame_name("x", 99), frame_name("x", 100), frame_name("x", 101), dream_name("x")]
    assert [live_state.is_frame_visible("x", name) for name in names] == [False] * 5
    live_state.apply(record_event(2, Progress(job_id="x", photo_id=PHOTO_ID, frame=names[2], fraction=0.2)))
    assert [live_state.is_frame_visible("x", name) for name in names] == [True, True, True, False, False]


def test_a_guest_whose_dream_is_held_midway_is_told_that_it_waits_for_approval() -> None:
    live_state = LiveState()
    live_state.apply(record_event(1, make_started("x")))
    frame = Progress(job_id="x", photo_id=PHOTO_ID, frame=frame_name("x", 0), fraction=0.2)
    live_state.apply(replace(record_event(2, frame), held=True))
    assert live_state.describe_job("x", 3) == {"state": "held"}


def test_a_refused_file_is_not_the_guests_business() -> None:
    assert LiveState().apply(record_event(1, FileRejected(file="f", reason="r"))) is None


def test_a_slow_viewer_is_cut_off_and_keeps_nothing() -> None:
    viewer = Viewer()
    message = SseMessage(b"x")
    assert all(viewer.offer(message) for _ in range(MAX_QUEUED_MESSAGES))
    assert not viewer.offer(message)
    assert viewer._queue.qsize() == 1  # only the end of the connection
