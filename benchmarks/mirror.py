"""The mirror beside a running stack: frames per second over the display's WebSocket, and the network's time alone.

A real `artdream up` on this machine, with the engine. Frames come from programs on the same machine, each of which
sends the next one when the last one has come back, as the page does; a browser there takes time beyond that.
"""

import argparse
import os
import shutil
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil

from benchmarks.latency import make_photos
from benchmarks.report import percentile, publish
from display.mirror.stylizer import NETWORK_FOLDER, Pixels, Stylizer, fit, read_metadata
from tests.display.mirror.camera import read_scene, to_jpeg
from tests.display.mirror.mirror_client import open_mirror
from tests.stack import RunningStack

#: Recipe that keeps the worker busy.
RECIPE = "animals"

#: Photos that wait for the worker: more than it dreams meanwhile.
PHOTO_COUNT = 60

#: Frames before those that count: the network is loaded, and buffers are made.
WARM_UP = 10


def make_scenes() -> dict[str, Pixels]:
    """Return what a camera sees, in the shape of two screens, by its size."""
    scene = read_scene()
    scenes = (fit(scene, 384), fit(np.ascontiguousarray(scene[60:420]), 384))
    return {f"{scene.shape[1]} × {scene.shape[0]}": scene for scene in scenes}


def measure_network(scene: Pixels, count: int) -> list[float]:
    """Return the seconds of each painting, in this process."""
    stylizer, seconds = Stylizer(), []
    shares = [1.0] + [0.0] * (len(stylizer.metadata.styles) - 1)
    for _ in range(WARM_UP + count):
        started = time.perf_counter()
        stylizer.paint(scene, shares)
        seconds.append(time.perf_counter() - started)
    return seconds[WARM_UP:]


def measure_mirrors(port: int, frame: bytes, count: int, mirror_count: int = 1) -> list[float]:
    """Return the seconds of each round trip at the first of some mirrors."""
    shares = bytes([255] + [0] * (len(read_metadata(NETWORK_FOLDER).styles) - 1))
    seconds, has_ended = [], threading.Event()
    with ExitStack() as stack:
        mirror, *others = (stack.enter_context(open_mirror(port)) for _ in range(mirror_count))

        def keep_painting(number: int) -> None:
            while not has_ended.is_set():
                others[number].paint(frame, shares)

        threads = [threading.Thread(target=keep_painting, args=(number,)) for number in range(len(others))]
        for thread in threads:
            thread.start()
        for _ in range(WARM_UP + count):
            started = time.perf_counter()
            mirror.paint(frame, shares)
            seconds.append(time.perf_counter() - started)
        has_ended.set()
        for thread in threads:
            thread.join()
    return seconds[WARM_UP:]


def main() -> None:
    """Measure, and publish frames per second and percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=150, help="frames of each kind")
    count = parser.parse_args().count
    scenes, load = make_scenes(), os.getloadavg()[0]
    seconds = {f"network alone, {size}": measure_network(scene, count) for size, scene in scenes.items()}
    folder = Path(tempfile.mkdtemp(prefix="artdream-bench-"))
    os.environ["ARTDREAM_MIRROR"] = "true"
    try:
        with RunningStack(folder, "--recipe", RECIPE) as stack:
            stack.start()
            stack.wait_until(lambda: "The worker is warm" in stack.read_output())
            frames = {size: to_jpeg(scene) for size, scene in scenes.items()}
            for size, frame in frames.items():
                seconds[f"round trip, {size}"] = measure_mirrors(stack.port, frame, count)
            size, frame = next(iter(frames.items()))
            seconds[f"round trip, {size}, two mirrors, each"] = measure_mirrors(stack.port, frame, count, 2)
            memory = sum(
                process.memory_info().rss
                for process in psutil.process_iter(["cmdline"])
                if "display.mirror.process" in (process.info["cmdline"] or [])
            )
            for number, photo in enumerate(make_photos(PHOTO_COUNT)):
                stack.drop_file(f"{number}.heic", photo)
            stack.wait_until(lambda: len(stack.list_completed()) > 0)
            seconds[f"round trip, {size}, while the worker dreams"] = measure_mirrors(stack.port, frame, count)
            if len(stack.list_completed()) == PHOTO_COUNT:
                raise RuntimeError("The worker had nothing to do at the end: measure fewer frames.")
    finally:
        shutil.rmtree(folder)
    rows = [
        (kind, f"{len(times) / sum(times):.1f}", *(f"{1000 * percentile(times, share):.0f}" for share in (0.5, 0.95)))
        for kind, times in seconds.items()
    ]
    columns = (f"{count} frames of each, load before {load:.1f}", "frames/s", "p50, ms", "p95, ms")
    publish("mirror", columns, rows, {"seconds": seconds, "load": load, "painter_bytes": memory})


if __name__ == "__main__":
    main()
