"""What the intake adds to decoding: photos ready to upload, against pillow-heif alone; and what memory it takes.

python -m benchmarks.intake [--rounds 15] [--photos 500] [--photo IMG_1.HEIC …]

Without photos of your own the sample is brought to a phone's size, with the profile that iPhones write (Display P3).
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pillow_heif
import psutil
from PIL import Image

from artdream.sample import read_sample
from benchmarks.report import publish
from producer.decoding.convert import Photo, convert
from producer.decoding.limits import Limits
from producer.decoding.pool import DecoderPool
from shared.broker.client import connect
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from tests.producer.icc_profiles import make_display_p3_profile
from tests.servers import Valkey

#: Width and height of a phone's photo of 12 megapixels.
PHOTO_SIZE = (4032, 3024)

#: pillow-heif alone, in a warm process of its own like the decoders.
BASELINE_SCRIPT = """
import io, sys, time, pillow_heif
from pathlib import Path
for line in sys.stdin:
    data = Path(line.strip()).read_bytes()
    began = time.perf_counter()
    pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True).to_pillow()
    print(time.perf_counter() - began, flush=True)
"""


def make_phone_photo() -> bytes:
    """Return the sample photo as a HEIC with size and colour profile of an iPhone's."""
    sample = Image.open(io.BytesIO(convert(read_sample()).jpeg)).resize(PHOTO_SIZE, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    pillow_heif.from_pillow(sample).save(buffer, quality=70, icc_profile=make_display_p3_profile())
    return buffer.getvalue()


def measure_decoding(path: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of pillow-heif alone and of a decoder process (request to result), run in turns."""
    baseline_seconds, decoder_seconds = [], []
    with DecoderPool(1, Limits()) as decoders:
        command = [sys.executable, "-c", BASELINE_SCRIPT]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(rounds + 1):  # the first is warm-up
                print(path, file=process.stdin, flush=True)
                baseline_seconds.append(float(process.stdout.readline()))
                started_at = time.perf_counter()
                result = decoders.submit(path).result()
                decoder_seconds.append(time.perf_counter() - started_at)
                assert isinstance(result.photo_or_error, Photo), result.photo_or_error
    return baseline_seconds[1:], decoder_seconds[1:]


def measure_memory(files: list[bytes], photo_count: int, folder: Path) -> dict[str, float]:
    """Run `artdream watch` while photos arrive; return its peak memory in megabytes, and photos per second."""
    inbox = folder / "inbox"
    inbox.mkdir()
    with Valkey() as server:
        url = f"{server.connection_url}/0"
        environment = {**os.environ, "ARTDREAM_BROKER_URL": url, "ARTDREAM_DATA": str(folder / "data")}
        command = [sys.executable, "-m", "artdream", "watch", str(inbox)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        client = connect(url)
        with _track_memory(process.pid) as peak_megabytes:
            started_at = time.perf_counter()
            for number in range(photo_count):
                # The same pixels in another file: an extra box at the end changes only the hash.
                (inbox / f".{number}").write_bytes(files[number % len(files)] + _make_free_box(number))
                (inbox / f".{number}").rename(inbox / f"{number}.heic")
                while count_queued(client, Lane.LIVE) < number - 8:
                    time.sleep(0.01)
            while count_queued(client, Lane.LIVE) < photo_count:
                time.sleep(0.01)
            seconds = time.perf_counter() - started_at
        process.terminate()
        process.wait()
        client.close()
    return {**peak_megabytes, "rate": photo_count / seconds}


def _make_free_box(number: int) -> bytes:
    return (16).to_bytes(4) + b"free" + number.to_bytes(8)


@contextmanager
def _track_memory(pid: int) -> Iterator[dict[str, float]]:
    """Track the peak memory in megabytes of a process, and of it with its children; shared pages are counted once."""
    peak_megabytes = {"parent": 0.0, "tree": 0.0}
    stop_requested = threading.Event()

    def sample() -> None:
        root = psutil.Process(pid)
        while not stop_requested.wait(0.05):
            try:
                parent = root.memory_full_info().pss / 1e6
                children = sum(child.memory_full_info().pss for child in root.children(recursive=True)) / 1e6
            except psutil.Error:  # a process has ended
                continue
            peak_megabytes["parent"], peak_megabytes["tree"] = (
                max(peak_megabytes["parent"], parent),
                max(peak_megabytes["tree"], parent + children),
            )

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak_megabytes
    finally:
        stop_requested.set()
        thread.join()


def main() -> None:
    """Measure decoding and memory, and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--photos", type=int, default=500, help="photos to watch arrive; 0 leaves this out")
    parser.add_argument("--photo", type=Path, nargs="*", default=[], help="photos of your own")
    arguments = parser.parse_args()
    rows, results = list[tuple[str, str, str]](), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="artdream-bench-") as name:
        paths = arguments.photo or [Path(name, "12 megapixels.heic")]
        if not arguments.photo:
            paths[0].write_bytes(make_phone_photo())
        load = os.getloadavg()[0]
        for path in paths:
            baseline_seconds, decoder_seconds = measure_decoding(path, arguments.rounds)
            ratio = statistics.median(decoder_seconds) / statistics.median(baseline_seconds)
            results.append({"photo": path.name, "alone": baseline_seconds, "ours": decoder_seconds, "ratio": ratio})
            rows += [
                (f"{path.name[-24:]}: pillow-heif decodes it", *_format_milliseconds(baseline_seconds)),
                ("… ready to upload", *_format_milliseconds(decoder_seconds)),
                ("… ratio", f"{min(decoder_seconds) / min(baseline_seconds):.2f}", f"{ratio:.2f}"),
            ]
        memory = (
            measure_memory([path.read_bytes() for path in paths], arguments.photos, Path(name))
            if arguments.photos
            else {}
        )
    if memory:
        rows += [
            (f"memory over {arguments.photos} photos: producer", f"{memory['parent']:.0f} MB", ""),
            ("… with its decoders", f"{memory['tree']:.0f} MB", ""),
            ("photos a second", f"{memory['rate']:.1f}", ""),
        ]
    rows.append(("load of the machine before", f"{load:.1f}", ""))
    publish(
        "intake", ("", "best", "median"), rows, {"pace": results, "photos": arguments.photos, "load": load, **memory}
    )


def _format_milliseconds(seconds: list[float]) -> tuple[str, str]:
    return f"{1000 * min(seconds):.0f} ms", f"{1000 * statistics.median(seconds):.0f} ms"


if __name__ == "__main__":
    main()
