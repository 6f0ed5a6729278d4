"""The way of a photo, from “whole in the inbox” to “pixels in the browser”, on the real one-machine stack.

Photos are dropped one by one, as guests do; each is a 12-megapixel HEIC. Times are taken where they happen:
the stages by producer and worker, the first frame and the finished dream by the browser when it has painted them.
"""

import argparse
import io
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from artdream.sample import read_sample
from benchmarks.report import percentile, publish
from producer.decoding.convert import convert
from shared.jobs.events import Completed, Stage
from tests.browser import launch_chromium
from tests.pictures import encode_heic
from tests.stack import RunningStack, drop_file

#: Width and height of a phone's photo of 12 megapixels.
PHOTO_SIZE = (4032, 3024)


def make_photos(count: int) -> list[bytes]:
    """Return HEICs of the sample at a phone's size, different photos because of an extra box at the end."""
    sample = Image.open(io.BytesIO(convert(read_sample()).jpeg)).resize(PHOTO_SIZE, Image.Resampling.BICUBIC)
    heic = encode_heic(sample)
    return [heic + struct.pack(">I4sQ", 16, b"free", number) for number in range(count)]


def measure(stack: RunningStack, files: list[bytes]) -> list[dict[str, float]]:
    """Drop each file, wait until the browser has painted its dream, and return the seconds of each stage."""
    rows = []
    with launch_chromium() as browser:
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(stack.url)
        for number, data in enumerate(files):
            is_new_dream_completed = _make_new_dream_check(stack)
            dropped_at = drop_file(stack.inbox, f"{number}.heic", data)
            stack.wait_until(is_new_dream_completed)
            event: Completed = stack.list_completed()[-1]
            picture = page.wait_for_selector(
                f'.strip img[data-dream][data-job-id="{event.job_id}"][data-shown-at]', state="attached"
            )
            assert picture is not None
            total = float(picture.get_attribute("data-shown-at") or "nan") / 1000 - dropped_at
            stages = {str(stage): event.stages[stage] for stage in Stage}
            rows.append({**stages, "show and notice": total - sum(stages.values()), "total": total})
    return rows


def _make_new_dream_check(stack: RunningStack) -> Callable[[], bool]:
    """Return a function that returns whether there are more dreams than now."""
    count_before = len(stack.list_completed())
    return lambda: len(stack.list_completed()) > count_before


def main() -> None:
    """Measure all photos and publish the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="photos to make and drop")
    parser.add_argument("--photos", type=Path, help="a folder of photos to drop instead")
    arguments = parser.parse_args()
    files = (
        [p.read_bytes() for p in sorted(arguments.photos.iterdir())]
        if arguments.photos
        else make_photos(arguments.count)
    )
    folder = Path(tempfile.mkdtemp(prefix="artdream-bench-"))
    try:
        with RunningStack(folder, clips=True) as stack:
            stack.start()
            rows = measure(stack, files)
    finally:
        shutil.rmtree(folder)
    for row in rows:
        row["all but dreaming"] = row["total"] - row[Stage.DREAM]
    table = [
        (
            name,
            f"{percentile([row[name] for row in rows], 0.5):.2f}",
            f"{percentile([row[name] for row in rows], 0.95):.2f}",
        )
        for name in rows[0]
    ]
    share = sum(row["all but dreaming"] for row in rows) / sum(row["total"] for row in rows)
    table.append(("share that is not dreaming", f"{share:.0%}", ""))
    publish("latency", (f"{len(rows)} photos, seconds", "p50", "p95"), table, {"photos": rows, "share": share})


if __name__ == "__main__":
    main()
