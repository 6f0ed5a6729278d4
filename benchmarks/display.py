"""The display under load: how soon viewers see a dream, what an idle wall costs, and whether memory stays flat.

A real broker, a real store, the display in its own process. Dreams are announced as a worker does it, without a
network, so that the display is all that is measured.
"""

import argparse
import asyncio
import concurrent.futures
import contextlib
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import numpy as np
import psutil
from playwright.sync_api import Browser

from benchmarks.report import percentile, publish
from display.state.dream_index import Dream, DreamIndex
from shared.broker.client import connect
from shared.jobs.events import Completed, parse_entry
from shared.redis_keys import STREAM
from shared.settings import Settings
from shared.storage.store import Store
from tests.browser import launch_chromium
from tests.display.conftest import DisplayProcess
from tests.display.fake_pipeline import RECIPE, FakePipeline
from tests.servers import Valkey
from tests.stack import free_port

#: Simultaneous viewers, one of them a browser.
VIEWER_COUNT = 20


class DisplayInstallation:
    """A broker, a store and a display, without producer and worker."""

    def __init__(self, folder: Path) -> None:
        self.valkey = Valkey(data_dir=folder / "valkey")
        self.valkey.start()
        settings = Settings(data=folder / "data", broker_url=self.valkey.url, port=free_port(), _env_file=None)
        self.client = connect(settings.broker)
        self.pipeline = FakePipeline(self.client, Store(settings.store))
        self.display = DisplayProcess(settings)
        self.display.start()

    @property
    def pid(self) -> int:
        """The process id of the display."""
        process = self.display._process
        assert process is not None
        assert process.pid is not None
        return process.pid

    def close(self) -> None:
        """Stop display and broker."""
        self.display.stop()
        self.client.close()
        self.valkey.stop()


def measure_viewers(
    installation: DisplayInstallation, browser: Browser, dream_count: int
) -> tuple[dict[str, str], dict[str, object]]:
    """Announce dreams one by one; measure when a browser has painted and other viewers have fetched each.

    Returns the cells of the table by label, and the delays in seconds.
    """
    page = browser.new_page(viewport={"width": 1920, "height": 1080})
    page.goto(installation.display.url)
    page.wait_for_selector(".wall:not([data-scene=dark])")
    paint_delays, fetch_delays = [], []
    viewers = _SimulatedViewers(installation.display.settings.port, VIEWER_COUNT - 1)
    for number in range(dream_count):
        job = installation.pipeline.add_dream((number % 250, number * 7 % 250, 90), thumb=True)
        entry_id = _cast_entries(installation.client.xrevrange(STREAM, count=1))[0][0]
        announced_at = int(entry_id.partition("-")[0]) / 1000
        picture = page.wait_for_selector(f'.strip img[data-job-id="{job.id}"][data-shown-at]', state="attached")
        assert picture is not None
        paint_delays.append(float(picture.get_attribute("data-shown-at") or "nan") / 1000 - announced_at)
        fetch_delays += [received_at - announced_at for received_at in viewers.wait_for_arrivals(job.id)]
    viewers.close()
    page.close()
    cells = {
        "event → painted in the browser": _format_percentiles(paint_delays),
        f"event → picture at {VIEWER_COUNT - 1} other viewers": _format_percentiles(fetch_delays),
    }
    return cells, {"painted": paint_delays, "fetched": fetch_delays}


class _SimulatedViewers:
    """Viewers that read the feed and fetch each dream's picture, in a thread of their own."""

    def __init__(self, port: int, count: int) -> None:
        self._port, self._received_at = port, dict[str, list[float]]()
        self._count, self._ready = count, threading.Semaphore(0)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._tasks = [asyncio.run_coroutine_threadsafe(self._read_events(), self._loop) for _ in range(count)]
        for _ in range(count):
            self._ready.acquire()

    def wait_for_arrivals(self, job_id: str) -> list[float]:
        """Wait until all viewers have a dream's picture; return the times in epoch seconds.

        Raises TimeoutError if that takes more than 30 seconds.
        """
        deadline = time.monotonic() + 30
        while len(self._received_at.get(job_id, [])) < self._count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Only {len(self._received_at.get(job_id, []))} viewers saw {job_id}.")
            time.sleep(0.005)
        return self._received_at[job_id]

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(concurrent.futures.CancelledError):
            concurrent.futures.wait(self._tasks, timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _read_events(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"GET /feed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        kind = ""
        while line := (await reader.readline()).decode().strip("\r\n") or " ":
            if line.startswith("event: "):
                kind = line[7:]
                if kind == "snapshot":
                    self._ready.release()
            elif line.startswith("data: ") and kind == "dream":
                dream = json.loads(line[6:])
                await self._fetch(dream["dream"])
                self._received_at.setdefault(dream["job_id"], []).append(time.time())

    async def _fetch(self, name: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"GET /pictures/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        response = await reader.read()
        assert b" 200 " in response[:20], response[:200]
        writer.close()


def measure_idle_wall(
    installation: DisplayInstallation, browser: Browser, seconds: float
) -> tuple[dict[str, str], dict[str, object]]:
    """Leave one wall with some dreams open; return the processor time of display and browser, as a share of a core."""
    for number in range(6):
        installation.pipeline.add_dream((number * 40, 90, 160), thumb=True)
    page = browser.new_page(viewport={"width": 1920, "height": 1080})
    page.goto(installation.display.url)
    page.wait_for_selector(".wall[data-scene=dream]")
    time.sleep(5)
    process_groups = (
        [psutil.Process(installation.pid)],
        [process for process in psutil.process_iter() if "chrom" in process.name()],
    )
    cpu_before, started_at = [_read_cpu_seconds(group) for group in process_groups], time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - started_at
    display_share, browser_share = (
        (_read_cpu_seconds(group) - seconds_before) / elapsed
        for group, seconds_before in zip(process_groups, cpu_before, strict=True)
    )
    page.close()
    cells = {
        "display": f"{display_share:.1%} of a core",
        "browser without GPU, rotating every 15 s": f"{browser_share:.1%} of a core",
    }
    return cells, {"display": display_share, "browser": browser_share, "seconds": elapsed}


def measure_soak(
    installation: DisplayInstallation, browser: Browser, dreams: int, page_loads: int
) -> tuple[dict[str, str], dict[str, object]]:
    """Announce dreams to an open wall and load pages between them; fit the display's memory over the dreams."""
    wall = browser.new_page()
    wall.goto(installation.display.url)
    display, points = psutil.Process(installation.pid), []
    for number in range(dreams):
        recipe = RECIPE.model_copy(update={"version": number + 1})  # gives each dream its own job id
        installation.pipeline.add_dream((number % 256, 90, 160), recipe=recipe, thumb=True)
        if number % max(1, dreams // page_loads) == 0:
            page = browser.new_page()
            page.goto(installation.display.url + ("/", "/gallery")[number // max(1, dreams // page_loads) % 2])
            page.wait_for_timeout(150)
            page.close()
            points.append((number, display.memory_info().rss))
    later_points = np.array([point for point in points if point[0] > dreams / 4])
    slope, error = _fit_slope(later_points[:, 0], later_points[:, 1])
    index_bytes = _measure_bytes_per_dream(installation, dreams)
    cells = {
        "memory after a quarter": f"{later_points[0, 1] / 1e6:.0f} MB",
        "memory at the end": f"{later_points[-1, 1] / 1e6:.0f} MB",
        "slope": f"{slope / 1e3:.1f} ± {2 * error / 1e3:.1f} kB a dream (two standard errors)",
        "of this, what the archive remembers of each": f"{index_bytes / 1e3:.1f} kB",
    }
    return cells, {"points": points, "slope": slope, "error": error, "archive": index_bytes}


def _cast_entries(reply: object) -> list[tuple[str, dict[str, str]]]:
    """Cast the reply of a stream read to its type, which redis-py does not declare."""
    return cast("list[tuple[str, dict[str, str]]]", reply)


def _measure_bytes_per_dream(installation: DisplayInstallation, dreams: int) -> float:
    """Return the bytes that the dream index takes per dream, measured by filling a second one with the same events."""
    entries = _cast_entries(installation.client.xrange(STREAM))
    dream_index = DreamIndex()
    tracemalloc.start()
    for entry_id, fields in entries:
        recorded = parse_entry(entry_id, fields)
        if recorded and isinstance(recorded.event, Completed):
            dream_index.put(Dream.from_completed(recorded.event, recorded.recorded_at))
    traced_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return traced_bytes / dreams


def _fit_slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the slope of the least-squares line, and its standard error."""
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    return float(slope), float(np.sqrt(covariance[0, 0]))


def _format_percentiles(values: list[float]) -> str:
    return f"p50 {statistics.median(values) * 1000:.0f} ms, p95 {percentile(values, 0.95) * 1000:.0f} ms"


def _read_cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """Return the processor time of processes, in seconds."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):  # a process has ended
            times = process.cpu_times()
            total += times.user + times.system
    return total


def main() -> None:
    """Measure the chosen sections and publish each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=["viewers", "idle", "soak"])
    parser.add_argument("--count", type=int, default=50, help="dreams announced to the viewers")
    parser.add_argument("--seconds", type=float, default=60, help="how long the idle wall hangs")
    parser.add_argument("--dreams", type=int, default=2000, help="dreams of the soak")
    parser.add_argument("--loads", type=int, default=200, help="page loads of the soak")
    arguments = parser.parse_args()
    measurements: dict[str, Callable[[DisplayInstallation, Browser], tuple[dict[str, str], dict[str, object]]]] = {
        "viewers": lambda installation, browser: measure_viewers(installation, browser, arguments.count),
        "idle": lambda installation, browser: measure_idle_wall(installation, browser, arguments.seconds),
        "soak": lambda installation, browser: measure_soak(installation, browser, arguments.dreams, arguments.loads),
    }
    for name in arguments.sections:
        folder = Path(tempfile.mkdtemp(prefix="artdream-bench-"))
        installation = DisplayInstallation(folder)
        load = os.getloadavg()[0]
        try:
            with launch_chromium() as browser:
                cells, facts = measurements[name](installation, browser)
        finally:
            installation.close()
            shutil.rmtree(folder)
        publish(f"display-{name}", (name, f"load {load:.1f}"), list(cells.items()), {"load": load, **facts})


if __name__ == "__main__":
    main()
