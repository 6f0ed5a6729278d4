"""Measure what tracing costs a photo, and render the spans of one for the documentation.

A photo is submitted and processed with tracing and without in turns, so that a busy minute affects both. Its dream only
sleeps, and spans go to a receiver in a process of its own. Processor time includes the thread that sends the spans.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from artdream.sample import read_sample
from benchmarks.report import publish
from benchmarks.sleeping_dreamer import DREAM_SECONDS, SleepingDreamer
from producer import watch
from producer.decoding.convert import convert
from producer.outbox.submission import SubmissionClient
from shared.broker.client import connect
from shared.jobs.job import Job, Lane
from shared.jobs.table import JobTable
from shared.monitoring.tracing import SpanName, describe_job, open_tracer
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from tests.browser import launch_chromium
from tests.display.conftest import running_display
from tests.otlp_receiver import OtlpReceiver, ReceivedSpan
from tests.servers import Valkey
from tests.stack import free_port
from tests.waiting import wait_until
from worker.jobs.processor import JobProcessor

#: Recipe of the photos, and seconds of their dreams where the cost is measured: the less, the larger its share.
RECIPE, SHORT_DREAM_SECONDS = "animals", 0.5

#: Photos whose spans are only recorded and sent: as many as a batch takes.
PHOTOS_OF_SPANS = 30

#: Photos that are processed before the other installation's turn.
PHOTOS_PER_TURN = 5

#: Seconds after which spans are sent: about once for each photo, as in an evening. A turn lasts until they are.
SEND_AFTER_SECONDS = 0.8


def make_settings(folder: Path, broker_url: str, *, tracing: bool) -> Settings:
    """Return the settings of an installation in a folder."""
    (folder / "inbox").mkdir(parents=True, exist_ok=True)
    fields = {
        "data": folder / "data",
        "inbox": folder / "inbox",
        "broker_url": broker_url,
        "recipe": RECIPE,
        "port": free_port(),
    }
    return Settings.model_validate({**Settings().model_dump(), **fields, "tracing": tracing, "clips": False})


def measure_costs(settings: Sequence[Settings], rounds: int) -> list[list[tuple[float, float]]]:
    """Process photos with each of the settings in turns; return seconds and processor seconds of a photo, by turn."""
    jpeg, recipe = convert(read_sample()), load_recipe(RECIPE)
    dreamer = SleepingDreamer(SHORT_DREAM_SECONDS)
    installations = [(SubmissionClient(each), JobProcessor(each, "worker", dreamer)) for each in settings]
    costs: list[list[tuple[float, float]]] = [[] for _ in settings]
    for turn in range(rounds + 1):
        for (client, processor), measured in zip(installations, costs, strict=True):
            started_at, cpu_started_at = time.perf_counter(), time.process_time()
            for number in range(PHOTOS_PER_TURN):
                seed = turn * PHOTOS_PER_TURN + number
                job = Job(photo_id=jpeg.photo_id, recipe=recipe, seed=seed, lane=Lane.LIVE)
                client.submit(job, jpeg.jpeg)
                processor.process(job.id)
            seconds = time.perf_counter() - started_at
            time.sleep(1.2 * SEND_AFTER_SECONDS)
            cpu_seconds = time.process_time() - cpu_started_at
            measured.append((seconds / PHOTOS_PER_TURN, cpu_seconds / PHOTOS_PER_TURN))
    for client, processor in installations:
        client.close()
        processor.close()
    return [measured[1:] for measured in costs]  # the first turn opens connections


def measure_spans(settings: Settings) -> tuple[float, float]:
    """Return processor seconds of the spans of a photo: to record them, which its job waits for, and to send them."""
    jobs = [Job(photo_id="5" * 64, recipe=load_recipe(RECIPE), seed=seed) for seed in range(PHOTOS_OF_SPANS)]
    tracer = open_tracer(settings, "worker")
    started_at, cpu_started_at = time.thread_time(), time.process_time()
    for job in jobs:
        for name in SpanName:
            tracer.record(name, job.id, 0.0, 1.0, attributes=describe_job(job), attempt=1)
    recorded_seconds = time.thread_time() - started_at
    tracer.close()
    cpu_seconds = time.process_time() - cpu_started_at
    return recorded_seconds / len(jobs), (cpu_seconds - recorded_seconds) / len(jobs)


def trace_one_photo(settings: Settings, receiver: OtlpReceiver) -> list[ReceivedSpan]:
    """Drop a photo into the inbox of an installation with a wall; return its spans, in the order of their start.

    Producer and worker run in this process.
    """
    stop = threading.Event()
    processor = JobProcessor(settings, "worker", SleepingDreamer(DREAM_SECONDS))
    producer = threading.Thread(target=watch.run, args=(settings, stop))
    with running_display(settings) as display, launch_chromium() as browser, connect(settings.broker) as client:
        wall = browser.new_page()
        wall.goto(display.url)
        wall.wait_for_selector(".wall:not([data-scene=dark])")
        producer.start()
        (settings.inbox / "photo.heic").write_bytes(read_sample())
        table = JobTable(client)
        wait_until(lambda: table.list_unclaimed(0))
        processor.process(table.list_unclaimed(0)[0])
        wait_until(lambda: len(receiver.spans) >= len(SpanName))
        stop.set()
        processor.close()
        producer.join()
    return receiver.spans


def render_spans(spans: Sequence[ReceivedSpan]) -> str:
    """Return a table in Markdown: each span below the one that it lies in, with its start and its length in seconds."""
    outermost = next(span for span in spans if not span.parent_id)

    def list_rows(span: ReceivedSpan, depth: int) -> Iterator[str]:
        component = span.service.removeprefix("artdream-")
        name = "&emsp;" * depth + f"`{span.name}`"
        yield f"| {name} | {component} | {span.started_at - outermost.started_at:.3f} | {span.seconds:.3f} |"
        for child in spans:
            if child.parent_id == span.span_id:
                yield from list_rows(child, depth + 1)

    return "\n".join(["| span | component | start | seconds |", "|---|---|--:|--:|", *list_rows(outermost, 0)])


@contextmanager
def run_receiver_process() -> Iterator[str]:
    """Run a receiver in a process of its own; yield its address."""
    command = [sys.executable, "-m", "tests.otlp_receiver"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate()


def main() -> None:
    """Measure, publish, and print the spans of one photo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="turns with tracing, and as many without")
    arguments = parser.parse_args()
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = str(int(1000 * SEND_AFTER_SECONDS))
    receiver = OtlpReceiver()
    with tempfile.TemporaryDirectory() as name, Valkey() as broker, receiver.run():
        folder = Path(name)
        with run_receiver_process() as url:
            os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
            settings = [
                make_settings(
                    folder / ("on" if tracing else "off"), f"{broker.connection_url}/{int(tracing)}", tracing=tracing
                )
                for tracing in (False, True)
            ]
            costs = measure_costs(settings, arguments.rounds)
            recorded, sent = measure_spans(settings[1])
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
        spans = trace_one_photo(make_settings(folder / "one", f"{broker.connection_url}/2", tracing=True), receiver)
    print(render_spans(spans))
    rows, facts = [], {}
    for index, what in enumerate(("seconds", "processor seconds")):
        off, on = (median(cost[index] for cost in measured) for measured in costs)
        rows.append((what, f"{off:.4f}", f"{on:.4f}", f"{on / off - 1:+.2%}"))
        facts[what] = {"off": off, "on": on}
    share = recorded / facts["seconds"]["off"]
    rows.append(("processor seconds to record its spans", "", f"{recorded:.4f}", f"{share:.2%} of the seconds"))
    rows.append(("processor seconds to send its spans", "", f"{sent:.4f}", ""))
    columns = (f"a photo, median of {arguments.rounds} turns", "without tracing", "with tracing", "more")
    publish("tracing", columns, rows, {"costs": facts, "recorded": recorded, "sent": sent})


if __name__ == "__main__":
    main()
