"""Soak test: photos at a steady rate and no faults, and whether anything that a component uses grows with the jobs.

python -m tests.fault.soak [--minutes 30] [--warm-up 8] [--per-minute 15] [--steps]
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import psutil

from benchmarks.report import ARTIFACTS_FOLDER, publish
from display.media.disk_cache import CACHE_FOLDER
from tests.fault.busy_installation import BusyInstallation
from tests.fault.resources import BLOCKS, CONFIDENCE, ResourceMonitor, Slope
from tests.worker_process import worker_command

#: Seconds between two samples.
SAMPLE_INTERVAL_SECONDS = 5.0

#: Unfinished jobs beyond which no photo is submitted: the rate is more than this machine dreams.
MAX_JOBS_IN_FLIGHT = 12


class SoakRun(BusyInstallation):
    """An installation at work, and what it uses."""

    def __init__(
        self, folder: Path, *, sample_interval_seconds: float = SAMPLE_INTERVAL_SECONDS, **options: Sequence[str]
    ) -> None:
        """options: those of BusyInstallation."""
        super().__init__(folder, **options)
        self._sample_interval_seconds = sample_interval_seconds
        self.monitor = ResourceMonitor(self._list_processes)

    def run(self, seconds: float, photos_per_minute: float) -> None:
        """Submit photos at a steady rate and take samples; then wait until all jobs have ended."""
        self.wait_until_warm()
        started = next_photo_at = next_sample_at = time.monotonic()
        while (now := time.monotonic()) < started + seconds or len(self.monitor.samples) < BLOCKS:
            self.read_events()
            if now >= next_photo_at and len(self.list_unfinished()) < MAX_JOBS_IN_FLIGHT:
                self.submit_photo()
                next_photo_at = max(now, next_photo_at + 60 / photos_per_minute)
            if now >= next_sample_at:
                self.monitor.sample(self.end_counts.total(), self._measure_others())
                next_sample_at += self._sample_interval_seconds
        self.finish()
        self.note_ended("the soak")

    def _list_processes(self) -> dict[str, psutil.Process]:
        """Return the processes of all components, and of the broker."""
        processes = {
            "producer": psutil.Process(self.producer.pid),
            "display": psutil.Process(self.display.pid),
            "broker": self.installation.find_broker_process(),
        }
        for number, worker in enumerate(self.installation.workers, 1):
            parent, *children = worker.process_tree
            processes[f"worker {number}"] = parent
            processes |= {f"worker {number}, child {child.pid}": child for child in children}
        for child in psutil.Process(self.producer.pid).children(recursive=True):
            processes[f"producer, child {child.pid}"] = child
        return processes

    def _measure_others(self) -> dict[tuple[str, str], float]:
        client, data = self.installation.client, self.installation.settings.data
        files = [path for path in data.rglob("*") if CACHE_FOLDER not in path.relative_to(data).parts]
        memory = cast("dict[str, int]", client.info("memory"))
        return {
            ("broker", "keys"): float(client.dbsize()),
            ("broker", "memory, MB"): memory["used_memory"] / 1e6,
            ("data folder, without the display's cache", "files"): float(len(files)),
        }


def publish_slopes(soak: SoakRun, slopes: Sequence[Slope], seconds: float) -> None:
    """Print the report and save it with the benchmarks' reports; `seconds` is the length of the run."""
    rows = [
        (
            slope.name,
            slope.quantity,
            f"{slope.first:.1f} → {slope.last:.1f}",
            f"{slope.slope:.2f}",
            f"{slope.low:.2f} to {slope.high:.2f}",
            "constant" if slope.is_constant else "GROWS",
        )
        for slope in slopes
    ]
    rows.append((soak.outcomes.summary, "", "", "", "", ""))
    columns = ("what", "quantity", "after the warm-up → at the end", "for 1,000 jobs", f"{CONFIDENCE:.0%}", "")
    facts = {
        "seconds": seconds,
        **soak.outcomes.as_facts(),
        "slopes": [vars(slope) | {"bound": slope.bound} for slope in slopes],
        "samples": [
            {"seconds": at, "jobs": jobs, "values": {", ".join(key): value for key, value in values.items()}}
            for at, jobs, values in soak.monitor.samples
        ],
    }
    publish("soak", columns, rows, facts)


def main() -> None:
    """Run, print the report, and exit with status 1 if something grows or a job did not end as it must."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--warm-up", type=float, default=8.0, help="minutes of which no sample counts")
    parser.add_argument("--per-minute", type=float, default=15.0, help="photos a minute")
    parser.add_argument("--steps", action="store_true", help="the dreamer of the tests, and short times")
    arguments = parser.parse_args()
    options: dict[str, Any] = {"worker_command": worker_command()} if arguments.steps else {}
    with tempfile.TemporaryDirectory() as folder:
        soak, started = SoakRun(Path(folder), **options), time.monotonic()
        try:
            soak.run(60 * arguments.minutes, arguments.per_minute)
        finally:
            soak.close()
            ARTIFACTS_FOLDER.mkdir(exist_ok=True)
            shutil.copy(soak.installation.log, ARTIFACTS_FOLDER / "soak-worker.log")
    slopes = soak.monitor.compute_slopes(60 * arguments.warm_up)
    publish_slopes(soak, slopes, time.monotonic() - started)
    if not soak.outcomes.are_clean or not all(slope.is_constant for slope in slopes):
        sys.exit(1)


if __name__ == "__main__":
    main()
