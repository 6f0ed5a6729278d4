"""A video that is to be dreamt is marked in the store, so that one worker dreams it, whichever ends meanwhile."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.storage.object_names import video_mark_name
from shared.storage.store import Store
from worker.clips import video_marks
from worker.clips.video_marks import MAX_ATTEMPTS, RENEW_INTERVAL_SECONDS, VideoMarks


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


def test_two_workers_do_not_dream_the_same_video(store: Store) -> None:
    one, other = VideoMarks(store), VideoMarks(store)
    one.add("a")
    assert not other.begin("a")
    assert one.begin("a")
    assert not other.begin("a")
    assert other.list_abandoned() == []
    one.remove("a")
    assert not one.begin("a")


def test_a_video_whose_worker_ended_is_taken_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = VideoMarks(store), VideoMarks(store)
    one.add("a")
    assert one.begin("a")
    monkeypatch.setattr(video_marks, "ABANDONED_AFTER_SECONDS", -1.0)
    assert other.list_abandoned() == ["a"]
    assert other.begin("a")
    monkeypatch.undo()
    assert not one.begin("a")


def test_a_video_that_is_being_dreamt_is_not_abandoned(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_marks, "RENEW_INTERVAL_SECONDS", 0.0)
    marks = VideoMarks(store)
    marks.add("a")
    before = store.get(video_mark_name("a"))
    assert marks.renew("a")
    assert store.get(video_mark_name("a")) != before
    marks.remove("a")
    assert not marks.renew("a")
    assert store.get(video_mark_name("a")) is None


def test_a_worker_notices_that_another_one_has_taken_over_its_video(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: the worker took the mark back, and both dreamt the video."""
    monkeypatch.setattr(video_marks, "RENEW_INTERVAL_SECONDS", 0.0)
    one, other = VideoMarks(store), VideoMarks(store)
    one.add("a")
    assert one.begin("a")
    monkeypatch.setattr(video_marks, "ABANDONED_AFTER_SECONDS", -1.0)
    assert other.begin("a")
    taken_over = store.get(video_mark_name("a"))
    assert not one.renew("a")
    assert store.get(video_mark_name("a")) == taken_over
    assert other.renew("a")


def test_the_mark_of_a_video_is_renewed_in_time_however_many_others_are_queued(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: each video that was queued put the renewal off by another minute."""
    marks = VideoMarks(store)
    marks.add("a")
    assert marks.begin("a")
    begun = store.get(video_mark_name("a"))
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + RENEW_INTERVAL_SECONDS, time=time.time)
    monkeypatch.setattr(video_marks, "time", clock)
    marks.add("b")
    assert marks.renew("a")
    assert store.get(video_mark_name("a")) != begun


def test_a_video_over_which_workers_end_is_left_after_some_attempts_and_that_is_logged(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The last attempt is for the clips of its photo."""
    marks = VideoMarks(store)
    marks.add("a")
    assert [marks.begin("a") for _ in range(MAX_ATTEMPTS + 2)] == [*range(1, MAX_ATTEMPTS + 2), 0]
    assert not list(store.list_objects("videos/"))
    [record] = caplog.records
    assert record.getMessage().startswith("job a has no clips: workers ended")


def test_an_attempt_that_is_released_does_not_count(store: Store) -> None:
    marks = VideoMarks(store)
    marks.add("a")
    for _ in range(MAX_ATTEMPTS + 2):
        assert marks.begin("a") == 1
        marks.release("a")


def test_a_video_that_another_worker_has_taken_over_is_not_released(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = VideoMarks(store), VideoMarks(store)
    one.add("a")
    assert one.begin("a")
    with monkeypatch.context() as abandoned:
        abandoned.setattr(video_marks, "ABANDONED_AFTER_SECONDS", -1.0)
        assert other.begin("a") == 2
    one.release("a")
    assert other.begin("a") == 3
    other.remove("a")
    one.release("a")
    assert not list(store.list_objects("videos/"))


def test_a_mark_that_cannot_be_read_is_none(store: Store) -> None:
    store.put(video_mark_name("a"), b"{")
    marks = VideoMarks(store)
    assert not marks.begin("a")
    assert marks.list_abandoned() == []
