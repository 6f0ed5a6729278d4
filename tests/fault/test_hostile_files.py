"""Whatever lies in the inbox becomes a picture or a reason, and the producer goes on. `make fuzz` does it at length."""

import os
from pathlib import Path

import pytest

from tests.fault import special_files as oddities
from tests.fault.corpus import generate_corpus
from tests.fault.producer_harness import ProducerHarness
from tests.pictures import encode_jpeg, make_picture

#: A folder of real pictures, which are damaged as well.
REAL_PICTURES_FOLDER = os.environ.get("ARTDREAM_FUZZ_FOLDER")

CORPUS_SIZE = 200


def test_hostile_files_become_pictures_or_reasons_and_a_good_photo_still_gets_through(
    tmp_path: Path, broker_url: str
) -> None:
    """Seen failing where files had dates beyond 2262 (twenty crashes), and with decoding inside the producer."""
    with ProducerHarness(tmp_path, broker_url) as siege:
        paths = [
            siege.drop_file(one.name, one.data)
            for one in generate_corpus(5, CORPUS_SIZE, Path(REAL_PICTURES_FOLDER) if REAL_PICTURES_FOLDER else None)
        ]
        taken, refused = oddities.make_accepted_files(siege.inbox), oddities.make_refused_files(siege.inbox)
        alone = oddities.make_ignored_files(siege.inbox)
        siege.wait_until_handled([*paths, *taken, *refused])
        assert siege.accepts_good_photo()
        found = siege.collect_outcome(paths)
        assert found.unanswered == []
        assert found.pictures > 20
        assert sum(found.refusals.values()) > 50
        assert siege.collect_outcome(taken).pictures == len(taken)
        assert sum(siege.collect_outcome(refused).refusals.values()) == len(refused)
        assert len(siege.collect_outcome(alone).unanswered) == len(alone)
        assert (siege.crashes, siege.hangs) == (0, 0)
        log = siege.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "\x1b" not in log
    assert len(log.splitlines()) < 2 * (CORPUS_SIZE + 50)  # a name with a line break makes no line of its own
    kept = b"".join(path.read_bytes() for path in (siege.data / "quarantine").iterdir())
    assert b"swordfish" not in kept
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("fate", oddities.FILE_CHANGES)
def test_files_that_change_while_they_are_looked_at_keep_nobody_waiting(
    fate: str, tmp_path: Path, broker_url: str
) -> None:
    with ProducerHarness(tmp_path, broker_url) as siege:
        assert siege.accepts_good_photo()  # it is awake
        for number in range(12):
            whole = encode_jpeg(make_picture(number, (1600, 1200))) if number % 2 else b"no picture"
            oddities.FILE_CHANGES[fate](siege.drop_file(b"%d.jpg" % number, whole))
        assert siege.accepts_good_photo()
        assert (siege.crashes, siege.hangs) == (0, 0)
        assert "Traceback" not in siege.log.read_text()
