"""Measure printing: seconds from a completed dream to its sheet in CUPS's queue, with real broker, CUPS and agent."""

import argparse
import io
import tempfile
import time
from pathlib import Path

import pillow_heif
from PIL import Image, ImageEnhance

from artdream.sample import read_sample
from benchmarks.report import percentile, publish
from shared.broker.client import connect
from shared.jobs.job import Job, Lane
from shared.jobs.table import JobTable
from shared.printing.table import PrintTable
from shared.recipe.recipe import load_recipe
from shared.runtime_settings import initialize_runtime_settings, update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import dream_name, photo_name, sidecar_name
from shared.storage.store import Store
from tests.print_server import PrintServer
from tests.servers import Valkey
from tests.sidecars import make_sidecar
from tests.stack import start_artdream
from tests.waiting import wait_until

#: Pixels of the long side of photo and dream.
SIDE = 1536


def measure(settings: Settings, count: int) -> list[float]:
    """Complete dreams one after the other, and return for each the seconds until the print server had its sheet."""
    store, seconds = Store(settings.store), []
    picture = pillow_heif.open_heif(io.BytesIO(read_sample())).to_pillow().convert("RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    with connect(settings.broker) as client:
        initialize_runtime_settings(client, store)
        jobs, prints = JobTable(client), PrintTable(client)
        update_runtime_settings(client, print_since=float(client.time()[0]))
        wait_until(lambda: prints.get_printer(), "the agent runs")
        for number in range(count):
            photo = io.BytesIO()
            ImageEnhance.Brightness(picture).enhance(0.8 + number / 100).save(photo, "JPEG", quality=92)
            job = Job(photo_id=f"{number:064x}", recipe=load_recipe("animals"), lane=Lane.LIVE)
            store.put(photo_name(job.photo_id), photo.getvalue())
            jobs.accept(job)
            claim = jobs.claim(job, "benchmark")
            assert claim
            store.put(dream_name(job.id), photo.getvalue())
            sidecar = make_sidecar(job, size=picture.size)
            store.put(sidecar_name(job.id), sidecar.model_dump_json().encode())
            completed_at = time.monotonic()
            assert jobs.complete(claim, sidecar.to_completed_event())
            while not any(record.server_job for record in prints.list_of_dream(job.id)):
                time.sleep(0.002)
            seconds.append(time.monotonic() - completed_at)
    return seconds


def main() -> None:
    """Run it and print p50 and p95."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=24)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder, Valkey() as valkey:
        server = PrintServer()
        server.start()
        settings = Settings(
            data=Path(folder) / "data",
            broker_url=valkey.url,
            printer=server.url,
            public_url="https://dream.example.org",
            links_secret="a secret of the benchmark",
            _env_file=None,
        )
        with (Path(folder) / "log").open("wb") as log:
            agent = start_artdream("print", folder=Path(folder), environment=settings.to_environment(), stderr=log)
        try:
            seconds = measure(settings, count)
            wait_until(lambda: len(server.list_printed()) == count, "all are printed")
        finally:
            agent.terminate()
            agent.wait()
            server.stop()
    p50, p95 = percentile(seconds, 0.5), percentile(seconds, 0.95)
    publish(
        "printing",
        ["prints", "p50", "p95"],
        [[str(count), f"{p50:.2f} s", f"{p95:.2f} s"]],
        {"prints": count, "p50_seconds": p50, "p95_seconds": p95},
    )


if __name__ == "__main__":
    main()
