"""The way of a photo where the dreams are far away, beside the original pipeline's way, over the same link.

A Mac and a VM, each a network namespace; between them 40 ms, 20 Mbit/s up and 100 down, and one packet of a hundred
lost each way. Both pipelines get HEICs of 12 megapixels, dream each for the same time, and paint in a real Chromium on
the Mac. What is measured is from the file's rename into the inbox to the dream, at its full size, in the browser; the
overhead is that without the dream's own time.

    make bench-link [ARGS="--photos 20 --original 6 --store sftp --loss 0 --cut 60"]
"""

import argparse
import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from benchmarks.latency import make_photos
from benchmarks.report import percentile, publish
from benchmarks.sleeping_dreamer import DREAM_SECONDS, SleepingDreamer
from shared.jobs.events import Completed, Stage
from shared.settings import Settings
from tests.browser import launch_chromium
from tests.network.emulated_link import LinkProfile
from tests.network.remote_installation import WALL_URL, RemoteInstallation
from tests.stack import drop_file

#: Shortest and longest pause between a dream and the next guest, in seconds; random, so that polling is not in step.
GUEST_INTERVAL_SECONDS = 2.0, 4.0

#: A recipe whose dreams are computed at 640 px and have 1536.
RECIPE = "peacock"

#: Photos of the burst in which the link is cut.
BURST_SIZE = 12

#: Milliseconds within which a dream must be shown; large because the original pipeline is slow on this link.
DISPLAY_TIMEOUT_MS = 300_000


def pace_photos(files: Sequence[bytes]) -> Iterator[bytes]:
    """Yield photos one by one, each after a random pause."""
    rng = random.Random(1)
    for data in files:
        time.sleep(rng.uniform(*GUEST_INTERVAL_SECONDS))
        yield data


def measure(installation: RemoteInstallation, page: Page, files: Sequence[bytes]) -> list[dict[str, float]]:
    """Drop each file, wait until the wall has painted its dream, and return the seconds of each stage."""
    rows = []
    page.goto(WALL_URL)
    for data in pace_photos(files):
        photo_id = hashlib.sha256(data).hexdigest()
        dropped_at = drop_file(installation.inbox, f"{photo_id}.heic", data)
        installation.wait_until(partial(_is_completed, installation, photo_id), "the dream")
        event: Completed = installation.list_completed()[-1]
        painted_at = _wait_until_painted(page, f'.dream img[data-dream][data-job-id="{event.job_id}"][data-shown-at]')
        stages = {str(stage): event.stages[stage] for stage in Stage}
        # Both machines share one clock: they are network namespaces of this one.
        completed_at = next(recorded.recorded_at for recorded in installation.recorded if recorded.event is event)
        extra_stages = {
            "ask and announce": completed_at - dropped_at - sum(stages.values()),
            "show": painted_at - completed_at,
        }
        total = painted_at - dropped_at
        rows.append({**stages, **extra_stages, "total": total, "all but dreaming": total - stages[Stage.DREAM]})
        print({name: round(seconds, 2) for name, seconds in rows[-1].items()}, flush=True)
    return rows


def measure_original(installation: RemoteInstallation, page: Page, files: Sequence[bytes]) -> list[dict[str, float]]:
    """Drop each file into the original pipeline, and return total and overhead in seconds."""
    remote_folder, dreams_folder, inbox = (installation.folder / "original" / name for name in ("far", "near", "inbox"))
    for folder in (remote_folder / "in", remote_folder / "out", dreams_folder, inbox):
        folder.mkdir(parents=True)
    ssh = {
        "IdentityFile": installation.sshd.key,
        "UserKnownHostsFile": installation.sshd.known_hosts,
        "BatchMode": "yes",
    }
    options = [f"--ssh={name}={value}" for name, value in ssh.items()]
    module = [sys.executable, "-m", "benchmarks.original"]
    user = installation.sshd.address
    with installation.log.open("ab") as log:
        installation.vm.start([*module, "server", str(remote_folder), str(DREAM_SECONDS)], log=log)
        installation.mac.start(
            [*module, "mac", str(inbox), str(dreams_folder), str(remote_folder), user, "8600", *options], log=log
        )
    installation.wait_until(lambda: installation.mac.is_listening(8600), "the original's page answers")
    page.goto("http://127.0.0.1:8600")
    rows = []
    for number, data in enumerate(pace_photos(files)):
        dropped_at = drop_file(inbox, f"{number}.heic", data)
        total = _wait_until_painted(page, f'img[data-name="{number}.png"][data-shown-at]') - dropped_at
        rows.append({"total": total, "all but dreaming": total - DREAM_SECONDS})
        print({name: round(seconds, 2) for name, seconds in rows[-1].items()}, flush=True)
    return rows


def _wait_until_painted(page: Page, selector: str) -> float:
    """Wait for a picture, and return the time at which the browser had painted it, in epoch seconds."""
    picture = page.wait_for_selector(selector, timeout=DISPLAY_TIMEOUT_MS)
    assert picture is not None
    return float(picture.get_attribute("data-shown-at") or "nan") / 1000


def _is_completed(installation: RemoteInstallation, photo_id: str) -> bool:
    return photo_id in {event.photo_id for event in installation.list_completed()}


def measure_link_cut(
    installation: RemoteInstallation, page: Page, files: Sequence[bytes], cut_seconds: float
) -> dict[str, float]:
    """Cut the link in the middle of a burst, restore it, and return how the installation recovered."""
    page.goto(WALL_URL)
    count_before = len(installation.list_completed())
    for number, data in enumerate(files):
        if number == len(files) // 3:
            installation.link.cut()
        drop_file(installation.inbox, f"burst-{number}.heic", data)
    deadline = time.monotonic() + cut_seconds
    installation.wait_until(lambda: time.monotonic() > deadline, "the cut is over", cut_seconds + 10)
    count_during_cut = len(installation.list_completed())
    installation.link.restore()
    recovery_seconds = installation.wait_until(
        lambda: len(installation.list_completed()) > count_during_cut, "the first dream after the cut", 120
    )
    installation.wait_until(
        lambda: len(installation.list_completed()) == count_before + len(files), "all dreams are there", 300
    )
    for event in installation.list_completed()[-len(files) :]:
        page.wait_for_selector(f'.strip img[data-job-id="{event.job_id}"]', state="attached")
    installation.verify_outcomes(count_before + len(files))
    return {
        "cut, s": cut_seconds,
        "photos": len(files),
        "dreams after": len(files),
        "first dream after the cut, s": recovery_seconds,
    }


def main() -> None:
    """Measure and publish, or with --work run as the worker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=20, help="photos that go our way")
    parser.add_argument("--original", type=int, default=6, help="photos that go the original's")
    parser.add_argument("--store", choices=["s3", "sftp"], default="s3", help="a bucket, or a folder of the VM")
    parser.add_argument("--loss", type=float, default=0.01, help="share of packets that are lost, each way")
    parser.add_argument("--cut", type=float, default=60, help="seconds for which the link is cut in a burst; 0: never")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        from worker.app import run

        run(Settings.read(), make_dreamer=lambda _: SleepingDreamer())
        return
    link_profile = LinkProfile(loss=arguments.loss)
    facts: dict[str, Any] = {"line": vars(link_profile), "store": arguments.store, "dream": DREAM_SECONDS}
    with (
        tempfile.TemporaryDirectory() as folder,
        RemoteInstallation(Path(folder), link_profile, arguments.store, recipe=RECIPE) as installation,
    ):
        installation.start(("-m", "benchmarks.link", "--work"))
        files = make_photos(arguments.photos + arguments.original + BURST_SIZE)
        with launch_chromium(installation.mac.command_prefix) as browser:
            page = browser.new_page(viewport={"width": 1920, "height": 1080})
            ours = measure(installation, page, files[: arguments.photos])
            if arguments.cut:
                facts["cut"] = measure_link_cut(installation, page, files[-BURST_SIZE:], arguments.cut)
            original = measure_original(installation, page, files[arguments.photos : -BURST_SIZE])
    rows = _build_rows(ours, original, facts)
    publish("link", ("seconds", "p50", "p95"), rows, facts | {"ours": ours, "original": original})


def _build_rows(
    ours: list[dict[str, float]], original: list[dict[str, float]], facts: dict[str, Any]
) -> list[tuple[str, str, str]]:
    rows = [_format_row(name, ours, name) for name in (ours[0] if ours else ())]
    rows += [_format_row(f"original: {name}", original, name) for name in (original[0] if original else ())]
    if ours and original:
        name = "all but dreaming"
        median_ratio, p95_ratio = (
            _column_percentile(original, name, share) / _column_percentile(ours, name, share) for share in (0.5, 0.95)
        )
        facts["ratio"] = {"p50": median_ratio, "p95": p95_ratio}
        rows.append((f"original ÷ ours, {name}", f"{median_ratio:.1f}", f"{p95_ratio:.1f}"))
    return rows + [(name, f"{value:.1f}", "") for name, value in facts.get("cut", {}).items()]


def _format_row(title: str, rows: list[dict[str, float]], name: str) -> tuple[str, str, str]:
    return title, f"{_column_percentile(rows, name, 0.5):.2f}", f"{_column_percentile(rows, name, 0.95):.2f}"


def _column_percentile(rows: list[dict[str, float]], name: str, share: float) -> float:
    return percentile([row[name] for row in rows], share)


if __name__ == "__main__":
    main()
