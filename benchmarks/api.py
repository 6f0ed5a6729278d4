"""The HTTP API beside a running stack: how long a program waits for each answer, while the worker dreams.

A real `artdream up` on this machine, with the engine. Photos of 12 megapixels are sent at a steady pace over loopback,
each on a connection of its own; in between, a photo of the store is submitted and a job is asked for. The time is from
opening the connection to the last byte of the answer.
"""

import argparse
import http.client
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.latency import make_photos
from benchmarks.report import percentile, publish
from shared.api.keys import ApiKeys, Scope
from shared.api.resources import API_PATH
from shared.broker.client import connect
from shared.settings import BROKER_FILE
from shared.storage.store import Store
from tests.recipes import write_recipe
from tests.stack import RunningStack

BOUNDARY = "benchmark"

#: Recipe of the photos: on two cores the worker is busy with it all the time.
RECIPE = "animals"


class Program:
    """A program that sends one request after the other, and takes the time of each."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        #: Seconds by kind of request.
        self.seconds: dict[str, list[float]] = {}

    def call(self, kind: str, method: str, path: str, body: bytes = b"", content_type: str = "") -> dict[str, object]:
        """Send a request, and return what is answered. Raises RuntimeError if it is not served."""
        headers = {"Authorization": f"Bearer {self._key}"} | ({"Content-Type": content_type} if content_type else {})
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request(method, API_PATH + path, body or None, headers)
        response = connection.getresponse()
        text = response.read()
        self.seconds.setdefault(kind, []).append(time.perf_counter() - started)
        connection.close()
        if response.status >= 300:
            raise RuntimeError(f"{response.status}: {text.decode()}")
        return dict(json.loads(text))

    def upload(self, photo: bytes) -> dict[str, object]:
        """Submit a photo in a form."""
        head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
        body = f'{head}"recipe"\r\n\r\n{RECIPE}\r\n{head}"photo"; filename="a"\r\n\r\n'.encode() + photo
        body += f"\r\n--{BOUNDARY}--\r\n".encode()
        return self.call("submit a photo", "POST", "/jobs", body, f"multipart/form-data; boundary={BOUNDARY}")


def measure(stack: RunningStack, photos: list[bytes], pause: float) -> dict[str, list[float]]:
    """Send the photos, one every `pause` seconds; return the seconds of each kind of request."""
    with connect((stack.data / BROKER_FILE).read_text()) as client:
        _, key = ApiKeys(client, Store((stack.data / "store").as_uri())).create("benchmark", tuple(Scope), 10**6)
    program = Program(stack.port, key)
    first = program.upload(photos[0])
    stack.wait_until(lambda: len(stack.list_completed()) == 1)  # its photo is in the store
    program.seconds.clear()
    for number, photo in enumerate(photos[1:], start=1):
        started = time.monotonic()
        job = program.upload(photo)
        stored = json.dumps({"photo": first["photo"], "recipe": RECIPE, "seed": number, "lane": "batch"}).encode()
        program.call("submit a photo of the store", "POST", "/jobs", stored, "application/json")
        program.call("ask for a job", "GET", f"/jobs/{job['id']}")
        program.call("list 50 jobs", "GET", "/jobs")
        time.sleep(max(0.0, pause - (time.monotonic() - started)))
    return program.seconds


def main() -> None:
    """Measure, and publish the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="photos to send")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two photos")
    arguments = parser.parse_args()
    photos = make_photos(arguments.count + 1)
    folder = Path(tempfile.mkdtemp(prefix="artdream-bench-"))
    os.environ["ARTDREAM_API"] = "true"
    load = os.getloadavg()[0]
    try:
        with RunningStack(folder, "--recipe", str(write_recipe(folder))) as stack:
            stack.start()
            seconds = measure(stack, photos, arguments.pause)
    finally:
        shutil.rmtree(folder)
    rows = [
        (kind, *(f"{1000 * percentile(times, share):.1f}" for share in (0.5, 0.95, 1.0)))
        for kind, times in seconds.items()
    ]
    columns = (f"{arguments.count} of each, load before {load:.1f}", "p50, ms", "p95, ms", "longest, ms")
    facts = {"seconds": seconds, "photo_bytes": len(photos[0]), "pause": arguments.pause, "load": load}
    publish("api", columns, rows, facts)


if __name__ == "__main__":
    main()
