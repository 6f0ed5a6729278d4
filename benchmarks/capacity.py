"""The cost of one dream for broker and store: memory, processor, requests, bytes. The basis of docs/scale.md.

A real broker and a real S3 server; the dreams of the `store` section are real, too.

    make bench-capacity [ARGS="broker stream store"]
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import redis

from benchmarks.report import percentile, publish
from benchmarks.request_counter import count_requests
from producer.decoding.convert import convert
from shared.broker.client import connect, connect_async
from shared.jobs.events import Completed, EventLog, Progress
from shared.jobs.job import Job, Lane
from shared.jobs.queue import create_celery_app, queue_keys, submit
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.redis_keys import STREAM
from shared.settings import Settings
from shared.storage.object_names import clip_name, dream_name, frame_name, photo_name, zoom_name
from shared.storage.store import Store
from tests.pictures import encode_jpeg, make_picture
from tests.servers import S3Server, Valkey
from tests.stack import free_port

#: Jobs that go through the broker, and frames of each: as many as the recipe “animals” has.
BROKER_JOBS, FRAMES_PER_JOB = 5000, 14

#: Numbers of readers of the stream, events per second, and seconds of each measurement.
READER_COUNTS, EVENTS_PER_SECOND, STREAM_SECONDS = (1, 20, 200), 100, 5

#: Photos that are really rendered, and seconds within which their clips must be finished.
DREAM_COUNT, CLIP_TIMEOUT_SECONDS = 4, 150

Results = dict[str, float]


def measure_broker(_: Path) -> Results:
    """Take jobs through all their states, and measure the broker's memory and processor time in between."""
    with Valkey() as server:
        settings = Settings(broker_url=f"{server.connection_url}/0", _env_file=None)
        client, app, recipe = connect(settings.broker), create_celery_app(settings), load_recipe("animals")
        table = JobTable(client)
        memory_before = _read_used_memory(client)
        jobs = [Job(photo_id=f"{number:064x}", recipe=recipe, lane=Lane.BATCH) for number in range(BROKER_JOBS)]
        cpu_before = _read_cpu_seconds(client)
        for job in jobs:
            submit(app, table, job)
        waiting_bytes, submit_seconds = (
            _read_used_memory(client) - memory_before,
            _read_cpu_seconds(client) - cpu_before,
        )
        client.delete(*queue_keys(Lane.BATCH))
        cpu_before = _read_cpu_seconds(client)
        for job in jobs:
            claim = table.claim(job, "worker")
            assert claim
            for number in range(FRAMES_PER_JOB):
                table.record_progress(claim, frame_name(job.id, number), number / FRAMES_PER_JOB)
            ids = {"job_id": job.id, "photo_id": job.photo_id, "photo": photo_name(job.photo_id)}
            stages = dict.fromkeys(("settle", "convert", "upload", "queue", "fetch", "dream", "publish"), 1.234567)
            description = {"recipe": recipe.name, "title": recipe.title, "dream": dream_name(job.id), "stages": stages}
            table.complete(claim, Completed.model_validate({**ids, **description}))
        work_seconds = _read_cpu_seconds(client) - cpu_before
        entries = int(client.xlen(STREAM))
        stream_bytes = int(client.memory_usage(STREAM, samples=0) or 0)
        figures = {
            "a waiting job, bytes": waiting_bytes / BROKER_JOBS,
            "an ended job, kept for 7 days, bytes": (_read_used_memory(client) - memory_before - stream_bytes)
            / BROKER_JOBS,
            "an event in the stream, bytes": stream_bytes / entries,
            "the whole stream, 50,000 events, MB": stream_bytes / entries * 50_000 / 1e6,
            "events of a job": FRAMES_PER_JOB + 4,
            "broker's processor for submitting a job, ms": 1000 * submit_seconds / BROKER_JOBS,
            "broker's processor for the rest of its life, ms": 1000 * work_seconds / BROKER_JOBS,
        }
        app.close()
        client.close()
    return figures


def measure_stream(_: Path) -> Results:
    """Append events at a constant rate while many readers follow the stream."""
    figures = {}
    for readers in READER_COUNTS:
        with Valkey() as server:
            client = connect(f"{server.connection_url}/0")
            delays, cpu_seconds = asyncio.run(_measure_read_delays(client, f"{server.connection_url}/0", readers))
            client.close()
        figures[f"{readers} readers, broker's processor, ms an event"] = (
            1000 * cpu_seconds / (EVENTS_PER_SECOND * STREAM_SECONDS)
        )
        figures[f"{readers} readers, p95 until an event is read, ms"] = 1000 * percentile(delays, 0.95)
    return figures


async def _measure_read_delays(client: redis.Redis, url: str, readers: int) -> tuple[list[float], float]:
    delays, total = list[float](), EVENTS_PER_SECOND * STREAM_SECONDS

    async def read() -> None:
        async with connect_async(url) as reader_client:
            position, read_count = "0-0", 0
            while read_count < total:
                reply = await reader_client.xread({STREAM: position}, count=500, block=5000)
                for _, entries in cast("list[tuple[str, list[tuple[str, object]]]]", reply or []):
                    now = time.time()  # the broker's clock is this machine's
                    delays.extend(now - int(entry_id.partition("-")[0]) / 1000 for entry_id, _ in entries)
                    position, read_count = entries[-1][0], read_count + len(entries)

    def write() -> None:
        log, started_at = EventLog(client), time.monotonic()
        for number in range(total):
            time.sleep(max(0.0, started_at + number / EVENTS_PER_SECOND - time.monotonic()))
            log.append(Progress(job_id="0" * 32, photo_id="0" * 64, frame=frame_name("0" * 32, 1), fraction=0.5))

    reader_tasks = [asyncio.create_task(read()) for _ in range(readers)]
    await asyncio.sleep(1)
    cpu_before = _read_cpu_seconds(client)
    await asyncio.to_thread(write)
    await asyncio.gather(*reader_tasks)
    return delays, _read_cpu_seconds(client) - cpu_before


def measure_store(folder: Path) -> Results:
    """Process photos with a real S3 server as the store, and count its requests and bytes."""
    server, port = S3Server(folder), free_port()
    server.start()
    os.environ |= {**server.environment, "AWS_ENDPOINT": f"http://127.0.0.1:{port}"}
    try:
        with Valkey() as broker, count_requests(server.port, port) as request_counts:
            settings = Settings(broker_url=f"{broker.connection_url}/0", store_url=server.url, _env_file=None)
            return _measure_dreams(settings, server.bucket / "prefix", request_counts)
    finally:
        server.stop()


def _measure_dreams(settings: Settings, folder: Path, request_counts: Counter[str]) -> Results:
    from worker.app import make_engine
    from worker.jobs.processor import JobProcessor

    store, app, recipe = Store(settings.store), create_celery_app(settings), load_recipe("animals")
    client = connect(settings.broker)
    table, dreamer = JobTable(client), make_engine(settings)
    processor = JobProcessor(settings, "worker", dreamer)
    dreamer.warm_up(recipe)
    request_counts.clear()  # the maps are stored once per worker
    photos = [convert(encode_jpeg(make_picture(number, (1600, 1200)))) for number in range(DREAM_COUNT)]
    for photo in photos:
        store.put(photo_name(photo.photo_id), photo.jpeg)
    producer_counts, jobs = Counter(request_counts), [Job(photo_id=photo.photo_id, recipe=recipe) for photo in photos]
    for job in jobs:
        submit(app, table, job)
        processor.process(job.id)
    deadline = time.monotonic() + CLIP_TIMEOUT_SECONDS
    while not all((folder / zoom_name(job.id)).exists() for job in jobs):
        if time.monotonic() > deadline:
            raise SystemExit(
                f"The clips were not made within {CLIP_TIMEOUT_SECONDS} s: the machine is too busy to measure this."
            )
        time.sleep(0.5)
    time.sleep(1)  # until the last check for a tombstone
    worker_counts = request_counts - producer_counts
    processor.close()
    app.close()
    client.close()
    sizes = [_measure_object_sizes(folder, job) for job in jobs]
    figures = {f"producer: {method} a photo": count / DREAM_COUNT for method, count in sorted(producer_counts.items())}
    figures |= {f"worker: {method} a dream": count / DREAM_COUNT for method, count in sorted(worker_counts.items())}
    return figures | {
        f"{kind}, kB a dream": sum(object_sizes[kind] for object_sizes in sizes) / DREAM_COUNT / 1000
        for kind in sizes[0]
    }


def _measure_object_sizes(folder: Path, job: Job) -> dict[str, int]:
    dream = folder / dream_name(job.id)
    frames = [file.stat().st_size for file in (dream.parent / "frames").iterdir()]
    return {
        "photo": (folder / photo_name(job.photo_id)).stat().st_size,
        "dream": dream.stat().st_size,
        "thumbnail and sidecar": sum((dream.parent / name).stat().st_size for name in ("thumb.jpg", "dream.json")),
        "frames": sum(frames),
        "clips": sum(file.stat().st_size for file in dream.parent.iterdir() if file.suffix in {".mp4", ".webp"}),
        "the film alone": (folder / clip_name(job.id)).stat().st_size,
    }


def _read_used_memory(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def _read_cpu_seconds(client: redis.Redis) -> float:
    cpu_info = client.info("cpu")
    return float(cpu_info["used_cpu_user"]) + float(cpu_info["used_cpu_sys"])


SECTIONS: dict[str, Callable[[Path], Results]] = {
    "broker": measure_broker,
    "stream": measure_stream,
    "store": measure_store,
}


def main() -> None:
    """Measure the chosen sections, print and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[*SECTIONS, []], default=[])
    arguments = parser.parse_args()
    load, figures = os.getloadavg()[0], Results()
    with tempfile.TemporaryDirectory() as folder:
        for section in arguments.parts or SECTIONS:
            figures |= SECTIONS[section](Path(folder))
    rows = [(name, f"{value:.3g}" if value < 1000 else f"{value:.0f}") for name, value in figures.items()]
    publish("capacity", ("figure", ""), [*rows, ("load before", f"{load:.1f}")], {"figures": figures, "load": load})


if __name__ == "__main__":
    main()
