"""Every hostile file in the inbox becomes a picture or a refusal. `make fuzz` runs longer."""

import os
from pathlib import Path

import pytest

from tests.fault import special_files
from tests.fault.corpus import generate_corpus
from tests.fault.producer_harness import ProducerHarness
from tests.pictures import encode_jpeg, make_picture

#: A folder of real pictures, which are mutated as well.
REAL_PICTURES_FOLDER = os.environ.get("ARTDREAM_FUZZ_FOLDER")

CORPUS_SIZE = 200


@pytest.mark.slow
def test_hostile_files_become_pictures_or_reasons_and_a_good_photo_still_gets_through(
    tmp_path: Path, broker_url: str
) -> None:
    """Seen failing with file dates beyond 2262 (twenty crashes), and with decoding inside the producer."""
    with ProducerHarness(tmp_path, broker_url) as harness:
        paths = [
            harness.drop_file(fuzz_input.name, fuzz_input.data)
            for fuzz_input in generate_corpus(
                5, CORPUS_SIZE, Path(REAL_PICTURES_FOLDER) if REAL_PICTURES_FOLDER else None
            )
        ]
        accepted, refused = (
            special_files.make_accepted_files(harness.inbox),
            special_files.make_refused_files(harness.inbox),
        )
        ignored = special_files.make_ignored_files(harness.inbox)
        harness.wait_until_handled([*paths, *accepted, *refused])
        assert harness.accepts_good_photo()
        outcome = harness.collect_outcome(paths)
        assert outcome.unanswered == []
        assert outcome.pictures > 20
        assert sum(outcome.refusals.values()) > 50
        assert harness.collect_outcome(accepted).pictures == len(accepted)
        assert sum(harness.collect_outcome(refused).refusals.values()) == len(refused)
        assert len(harness.collect_outcome(ignored).unanswered) == len(ignored)
        assert (harness.crashes, harness.hangs) == (0, 0)
        log = harness.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "\x1b" not in log
    assert len(log.splitlines()) < 2 * (CORPUS_SIZE + 50)  # a line break in a name adds no line to the log
    quarantined = b"".join(path.read_bytes() for path in (harness.data / "quarantine").iterdir())
    assert b"swordfish" not in quarantined
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.slow
@pytest.mark.parametrize("fate", special_files.FILE_CHANGES)
def test_files_that_change_while_they_are_looked_at_keep_nobody_waiting(
    fate: str, tmp_path: Path, broker_url: str
) -> None:
    with ProducerHarness(tmp_path, broker_url) as harness:
        assert harness.accepts_good_photo()  # the producer is running
        for number in range(12):
            data = encode_jpeg(make_picture(number, (1600, 1200))) if number % 2 else b"no picture"
            special_files.FILE_CHANGES[fate](harness.drop_file(b"%d.jpg" % number, data))
        assert harness.accepts_good_photo()
        assert (harness.crashes, harness.hangs) == (0, 0)
        assert "Traceback" not in harness.log.read_text()
