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
from tests.browser import chromium
from tests.pictures import heic
from tests.stack import Up, drop

#: A phone's 12 megapixels.
SIZE = (4032, 3024)


def photos(count: int) -> list[bytes]:
    """Make HEICs of the sample at a phone's size. They differ in an empty box at the end, which makes each a photo."""
    sample = Image.open(io.BytesIO(convert(read_sample()).jpeg)).resize(SIZE, Image.Resampling.BICUBIC)
    whole = heic(sample)
    return [whole + struct.pack(">I4sQ", 16, b"free", number) for number in range(count)]


def measure(up: Up, files: list[bytes]) -> list[dict[str, float]]:
    """Drop each file, wait until the browser shows its dream, and return its stages in seconds."""
    rows = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(up.url)
        for number, data in enumerate(files):
            dreamt = _more(up)
            dropped = drop(up.inbox, f"{number}.heic", data)
            up.until(dreamt)
            event: Completed = up.completed()[-1]
            shown = page.wait_for_selector(
                f'.strip img[data-dream][data-job-id="{event.job_id}"][data-shown-at]', state="attached"
            )
            assert shown is not None
            total = float(shown.get_attribute("data-shown-at") or "nan") / 1000 - dropped
            stages = {str(stage): event.stages[stage] for stage in Stage}
            rows.append({**stages, "show and notice": total - sum(stages.values()), "total": total})
    return rows


def _more(up: Up) -> Callable[[], bool]:
    """Return what tells whether there are more dreams than now."""
    seen = len(up.completed())
    return lambda: len(up.completed()) > seen


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="photos to make and drop")
    parser.add_argument("--photos", type=Path, help="a folder of photos to drop instead")
    chosen = parser.parse_args()
    files = [p.read_bytes() for p in sorted(chosen.photos.iterdir())] if chosen.photos else photos(chosen.count)
    folder = Path(tempfile.mkdtemp(prefix="artdream-bench-"))
    try:
        with Up(folder, clips=True) as up:
            up.start()
            rows = measure(up, files)
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
