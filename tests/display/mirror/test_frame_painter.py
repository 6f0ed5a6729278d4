"""The painter: its process is replaced when it dies, ends when no mirror is open, and never outlives its display."""

import asyncio
import io
import logging
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

import display.mirror.frame_painter as painter_module
from display.mirror.frame_painter import MAX_MIRRORS, FramePainter, TooManyMirrors
from display.mirror.process import RESPONSE_HEAD, FrameRefused, ResponseKind
from display.mirror.stylizer import NETWORK_FOLDER, Stylizer
from shared.errors import ArtDreamError
from shared.settings import Settings
from shared.stylizer import GRAPH_FILE
from tests.display.conftest import DisplayProcess
from tests.display.mirror.camera import measure_difference, read_scene, to_jpeg
from tests.display.mirror.mirror_client import open_mirror
from tests.processes import list_children
from tests.waiting import wait_until

SCENE = read_scene()

FRAME = to_jpeg(SCENE)


def run_with_painter(network: Path, work: Callable[[FramePainter], Coroutine[object, object, None]]) -> None:
    """Run a coroutine function with a painter, whose process must have ended then."""

    async def run() -> None:
        painter = FramePainter(network)
        async with painter.run():
            await work(painter)
        assert list_painter_processes(os.getpid()) == []

    asyncio.run(run())


def list_painter_processes(parent: int) -> list[psutil.Process]:
    """Return the painting processes that a process has started and that run."""
    return list_children(parent, "display.mirror.process")


def first_style(stylizer: Stylizer) -> bytes:
    return bytes([255] + [0] * (len(stylizer.metadata.styles) - 1))


async def wait_for(condition: Callable[[], object]) -> None:
    """Wait for a condition while the event loop runs."""
    await asyncio.to_thread(wait_until, condition)


def test_a_frame_comes_back_painted_by_a_process_that_starts_with_the_first(stylizer: Stylizer) -> None:
    async def work(painter: FramePainter) -> None:
        with painter.mirror():
            assert list_painter_processes(os.getpid()) == []
            painting = await painter.paint(FRAME, first_style(stylizer))
            assert len(list_painter_processes(os.getpid())) == 1
        expected = stylizer.paint(SCENE, [1.0] + [0.0] * (len(stylizer.metadata.styles) - 1))
        assert measure_difference(np.asarray(Image.open(io.BytesIO(painting))), expected) < 3

    run_with_painter(NETWORK_FOLDER, work)


def test_frames_of_several_mirrors_are_each_answered_with_their_own_painting(stylizer: Stylizer) -> None:
    shades = range(20, 240, 55)
    frames = [to_jpeg(np.full((96, 96 + 8 * number, 3), shade, np.uint8)) for number, shade in enumerate(shades)]

    async def work(painter: FramePainter) -> None:
        await painter.paint(FRAME, first_style(stylizer))
        abandoned = asyncio.create_task(painter.paint(FRAME, first_style(stylizer)))
        for _ in range(5):
            await asyncio.sleep(0)  # until it waits for the process
        abandoned.cancel()  # its mirror has closed; the others must not get its painting
        paintings = await asyncio.gather(*(painter.paint(frame, first_style(stylizer)) for frame in frames))
        shapes = [Image.open(io.BytesIO(painting)).size for painting in paintings]
        assert [height for _, height in shapes] == [
            4 * round(96 * 384 / (96 + 8 * number) / 4) for number in range(len(frames))
        ]

    run_with_painter(NETWORK_FOLDER, work)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_is_killed_or_hangs_is_replaced(
    stylizer: Stylizer, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(painter: FramePainter) -> None:
        await painter.paint(FRAME, first_style(stylizer))
        (process,) = list_painter_processes(os.getpid())
        monkeypatch.setattr(painter_module, "PAINT_SECONDS", 15.0)
        process.send_signal(number)
        assert await painter.paint(FRAME, first_style(stylizer))
        (other,) = list_painter_processes(os.getpid())
        assert other.pid != process.pid

    run_with_painter(NETWORK_FOLDER, work)
    (record,) = caplog.records
    assert "ended (-9): it starts again" in record.message


def test_a_painter_that_ends_while_its_process_hangs_starts_no_other(
    stylizer: Stylizer, caplog: pytest.LogCaptureFixture
) -> None:
    painting: list[asyncio.Task[bytes]] = []

    async def work(painter: FramePainter) -> None:
        await painter.paint(FRAME, first_style(stylizer))
        (process,) = list_painter_processes(os.getpid())
        process.suspend()
        painting.append(asyncio.create_task(painter.paint(FRAME, first_style(stylizer))))
        await asyncio.sleep(0)

    async def run() -> None:
        painter = FramePainter(NETWORK_FOLDER)
        async with painter.run():
            await work(painter)
        with pytest.raises(ArtDreamError, match="The display ends"):
            await painting[0]
        assert list_painter_processes(os.getpid()) == []

    asyncio.run(run())
    assert caplog.records == []


#: What a process does that a hostile frame has taken over, or that is another program.
HOSTILE_ANSWERS = {
    "it answers with 2147483648 bytes": RESPONSE_HEAD.pack(ResponseKind.READY, 2**31),
    "99 is not a valid ResponseKind": RESPONSE_HEAD.pack(99, 0),
    "0 bytes read": b"",
}


@pytest.mark.parametrize(("reason", "answer"), HOSTILE_ANSWERS.items(), ids=HOSTILE_ANSWERS)
def test_a_process_that_answers_nonsense_is_one_sentence(
    stylizer: Stylizer, reason: str, answer: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def start(_: FramePainter) -> Process:
        program = f"import sys; sys.stdout.buffer.write({answer!r})"
        return await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=PIPE, stdout=PIPE)

    monkeypatch.setattr(FramePainter, "_start", start)

    async def work(painter: FramePainter) -> None:
        with pytest.raises(ArtDreamError, match=f"mirror's frames cannot be used: {reason}"):
            await painter.paint(FRAME, first_style(stylizer))

    run_with_painter(NETWORK_FOLDER, work)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "ERROR"]


def test_a_frame_that_is_refused_ends_nothing(stylizer: Stylizer) -> None:
    async def work(painter: FramePainter) -> None:
        await painter.paint(FRAME, first_style(stylizer))
        before = list_painter_processes(os.getpid())
        with pytest.raises(FrameRefused, match="not a JPEG"):
            await painter.paint(b"no JPEG", first_style(stylizer))
        assert await painter.paint(FRAME, first_style(stylizer))
        assert list_painter_processes(os.getpid()) == before

    run_with_painter(NETWORK_FOLDER, work)


def test_a_network_that_is_lost_meanwhile_is_said_once_and_found_when_it_is_back(
    stylizer: Stylizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = shutil.copytree(NETWORK_FOLDER, tmp_path / "network", copy_function=shutil.copyfile)
    graph = (network / GRAPH_FILE).read_bytes()

    async def work(painter: FramePainter) -> None:
        (network / GRAPH_FILE).unlink()
        for _ in range(2):
            with pytest.raises(ArtDreamError, match=f"{GRAPH_FILE} cannot be read"):
                await painter.paint(FRAME, first_style(stylizer))
        (network / GRAPH_FILE).write_bytes(graph)
        assert await painter.paint(FRAME, first_style(stylizer))

    with caplog.at_level(logging.WARNING):
        run_with_painter(network, work)
    assert len(caplog.records) == 1


def test_the_process_ends_some_time_after_the_last_mirror(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painter_module, "KEEP_SECONDS", 0.2)

    async def work(painter: FramePainter) -> None:
        with painter.mirror():
            with painter.mirror():
                await painter.paint(FRAME, first_style(stylizer))
            monkeypatch.setattr(painter_module, "KEEP_SECONDS", 0.0)
            await painter.paint(FRAME, first_style(stylizer))
            assert len(list_painter_processes(os.getpid())) == 1
        await wait_for(lambda: not list_painter_processes(os.getpid()))
        with painter.mirror():
            await painter.paint(FRAME, first_style(stylizer))
            before = list_painter_processes(os.getpid())
        with painter.mirror():  # at once: the process is kept
            for _ in range(3):
                await painter.paint(FRAME, first_style(stylizer))
            assert list_painter_processes(os.getpid()) == before

    run_with_painter(NETWORK_FOLDER, work)


def test_there_are_no_more_mirrors_than_one_process_paints_for() -> None:
    painter = FramePainter(NETWORK_FOLDER)

    async def open_mirrors() -> None:
        mirrors = [painter.mirror() for _ in range(MAX_MIRRORS)]
        for mirror in mirrors:
            mirror.__enter__()
        with pytest.raises(TooManyMirrors), painter.mirror():
            pass
        mirrors[0].__exit__(None, None, None)
        with painter.mirror():
            pass

    asyncio.run(open_mirrors())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_process_ends_with_its_display_however_that_ends(
    mirror_settings: Settings, stylizer: Stylizer, number: int
) -> None:
    display = DisplayProcess(mirror_settings)
    display.start()
    with open_mirror(mirror_settings.port) as mirror:
        mirror.paint(FRAME, first_style(stylizer))
        (process,) = list_painter_processes(display.pid)
        display.stop(number)
    wait_until(lambda: not process.is_running(), "the painting process has ended")
