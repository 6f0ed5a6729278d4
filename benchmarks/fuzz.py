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

from benchmarks.report import publish
from tests.fault import special_files as oddities
from tests.fault.corpus import generate_corpus
from tests.fault.producer_harness import ProducerHarness
from tests.servers import Valkey

#: Files that are dropped into the inbox at a time.
MAX_PENDING_FILES = 200

#: Reasons of refusal with a row of their own.
MAX_LISTED_REASONS = 12


def run_fuzz(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Drop all files and return the outcome, by label."""
    paths, kinds, names = list[Path](), Counter[str](), dict[str, str]()
    with Valkey() as server, ProducerHarness(folder, server.url) as harness:
        started_at, pending = time.perf_counter(), list[Path]()
        for hostile_file in generate_corpus(arguments.seed, arguments.count, arguments.folder, large=True):
            kinds[hostile_file.kind] += 1
            pending.append(harness.drop_file(hostile_file.name, hostile_file.data))
            names[str(pending[-1])] = hostile_file.kind
            if len(pending) == MAX_PENDING_FILES:
                harness.wait_until_handled(pending)
                paths += pending
                pending = []
        special_files = [*oddities.make_refused_files(harness.inbox), *oddities.make_accepted_files(harness.inbox)]
        ignored_files = oddities.make_ignored_files(harness.inbox)
        kinds["no files that keep still"] = len(special_files) + len(ignored_files)
        harness.wait_until_handled([*pending, *special_files])
        paths += pending + special_files
        accepted_good_photo = harness.accepts_good_photo()
        outcome = harness.collect_outcome(paths)
        seconds = time.perf_counter() - started_at
        log = harness.log.read_text(errors="replace")
    return {
        "inputs": dict(kinds),
        "pictures": outcome.pictures,
        "refusals": dict(outcome.refusals.most_common()),
        "left alone": len(ignored_files),
        "crashes of the producer": harness.crashes,
        "tracebacks in its log": log.count("Traceback"),
        "hangs": harness.hangs,
        "unanswered": outcome.unanswered,
        "crashed a decoder": outcome.crashed,
        "cut off": outcome.timed_out,
        "good photo last": accepted_good_photo,
        "seconds": seconds,
        "megabytes": harness.peak_megabytes,
        "log": log[-20_000:] if "Traceback" in log else "",
    }


def main() -> None:
    """Run, publish, and exit with 1 if the producer crashed, hung or failed to handle a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="real pictures")
    parser.add_argument("--count", type=int, default=2000, help="files that are dropped")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="artdream-fuzz-") as name:
        results = run_fuzz(arguments, Path(name))
    reason_counts = Counter[str]()
    for reason, count in results["refusals"].items():
        reason_counts[re.sub(r"[\d,]+ megapixels", "so many megapixels", reason)] += count
    reasons = reason_counts.most_common()
    rows = [(f"input: {kind}", str(count)) for kind, count in results["inputs"].items()]
    rows.append(("pictures in the lane", str(results["pictures"])))
    rows += [(f"refused: {reason}", str(count)) for reason, count in reasons[:MAX_LISTED_REASONS]]
    if other_reasons := reasons[MAX_LISTED_REASONS:]:
        rows.append((f"refused for {len(other_reasons)} other reasons", str(sum(count for _, count in other_reasons))))
    for name in ("left alone", "crashes of the producer", "tracebacks in its log", "hangs"):
        rows.append((name, str(results[name])))
    for name in ("unanswered", "crashed a decoder", "cut off"):
        rows.append((f"{name} {', '.join(results[name][:4])}", str(len(results[name]))))
    rows.append(("a good photo, dropped last, gets through", "yes" if results["good photo last"] else "no"))
    rows.append(("seconds", f"{results['seconds']:.0f}"))
    rows += [
        (f"most memory of {component}, MB", f"{megabytes:.0f}") for component, megabytes in results["megabytes"].items()
    ]
    publish("fuzz", ("", ""), rows, {"seed": arguments.seed, "folder": bool(arguments.folder), **results})
    failures = ("crashes of the producer", "tracebacks in its log", "hangs", "unanswered")
    sys.exit(any(results[name] for name in failures) or not results["good photo last"])


if __name__ == "__main__":
    main()
