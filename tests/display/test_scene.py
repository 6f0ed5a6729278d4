"""What there is to show, made from events."""

from display.scene import DREAMS, SILENCE, Dream, Scene
from display.viewer import BACKLOG, Message, Viewer
from shared.events import Accepted, Completed, Event, Failed, Progress, Recorded, Refused, Started
from shared.names import dream_name, photo_name

PHOTO = "a" * 64


def at(second: float, event: Event) -> Recorded:
    return Recorded(f"{round(second * 1000)}-0", event)


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


def shown(scene: Scene, now: float = 0) -> tuple[list[str], list[str], int]:
    snapshot = scene.snapshot(now)
    names = [[entry["job_id"] for entry in snapshot[part]] for part in ("dreams", "running")]  # type: ignore[attr-defined]
    return names[0], names[1], snapshot["waiting"]  # type: ignore[return-value]


def test_a_job_waits_runs_and_becomes_a_dream() -> None:
    scene = Scene()
    scene.apply(at(1, accepted("x")))
    assert shown(scene) == ([], [], 1)
    scene.apply(at(2, started("x")))
    scene.apply(at(3, Progress(job_id="x", photo_id=PHOTO, frame="dreams/x/frames/00.jpg", fraction=0.2)))
    assert shown(scene) == ([], ["x"], 0)
    scene.apply(at(4, completed("x")))
    assert shown(scene) == (["x"], [], 0)


def test_a_failed_job_is_forgotten() -> None:
    scene = Scene()
    scene.apply(at(1, started("x")))
    scene.apply(at(2, Failed(job_id="x", photo_id=PHOTO, reason="r")))
    assert shown(scene) == ([], [], 0)


def test_a_job_whose_worker_has_vanished_is_no_longer_shown() -> None:
    scene = Scene()
    scene.apply(at(1, started("x")))
    assert shown(scene, now=SILENCE)[1] == ["x"]
    assert shown(scene, now=1 + SILENCE)[1] == []


def test_a_refused_file_is_not_the_guests_business() -> None:
    assert Scene().apply(at(1, Refused(file="f", reason="r"))) is None


def test_only_the_newest_dreams_are_kept() -> None:
    scene = Scene()
    for second in range(2 * DREAMS):
        scene.apply(at(second, completed(f"job-{second}")))
    scene.remember([Dream("old", "Animals", "p", "d", "t", at=-1)])
    dreams = shown(scene)[0]
    assert len(dreams) == DREAMS
    assert dreams[0] == f"job-{2 * DREAMS - 1}"
    assert "old" not in dreams


def test_a_slow_viewer_is_cut_off_and_keeps_nothing() -> None:
    viewer = Viewer()
    message = Message(b"x")
    assert all(viewer.offer(message) for _ in range(BACKLOG))
    assert not viewer.offer(message)
    assert viewer._queue.qsize() == 1  # only the word that it is over
