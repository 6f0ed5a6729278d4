"""Whatever lies in the inbox becomes a picture or a reason, and the producer goes on. `make fuzz` does it at length."""

import os
from pathlib import Path

import pytest

from tests.fault import special_files as oddities
from tests.fault.corpus import corpus
from tests.fault.producer_harness import Siege
from tests.pictures import colours, jpeg

#: A folder of real pictures, which are damaged as well.
FOLDER = os.environ.get("ARTDREAM_FUZZ_FOLDER")

COUNT = 200


def test_hostile_files_become_pictures_or_reasons_and_a_good_photo_still_gets_through(
    tmp_path: Path, broker_url: str
) -> None:
    """Seen failing where files had dates beyond 2262 (twenty crashes), and with decoding inside the producer."""
    with Siege(tmp_path, broker_url) as siege:
        paths = [siege.drop(one.name, one.data) for one in corpus(5, COUNT, Path(FOLDER) if FOLDER else None)]
        taken, refused = oddities.taken(siege.inbox), oddities.refused(siege.inbox)
        alone = oddities.left_alone(siege.inbox)
        siege.hold([*paths, *taken, *refused])
        assert siege.good()
        found = siege.outcome(paths)
        assert found.unanswered == []
        assert found.pictures > 20
        assert sum(found.refusals.values()) > 50
        assert siege.outcome(taken).pictures == len(taken)
        assert sum(siege.outcome(refused).refusals.values()) == len(refused)
        assert len(siege.outcome(alone).unanswered) == len(alone)
        assert (siege.crashes, siege.hangs) == (0, 0)
        log = siege.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "\x1b" not in log
    assert len(log.splitlines()) < 2 * (COUNT + 50)  # a name with a line break makes no line of its own
    kept = b"".join(path.read_bytes() for path in (siege.data / "quarantine").iterdir())
    assert b"swordfish" not in kept
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("fate", oddities.FATES)
def test_files_that_change_while_they_are_looked_at_keep_nobody_waiting(
    fate: str, tmp_path: Path, broker_url: str
) -> None:
    with Siege(tmp_path, broker_url) as siege:
        assert siege.good()  # it is awake
        for number in range(12):
            whole = jpeg(colours(number, (1600, 1200))) if number % 2 else b"no picture"
            oddities.FATES[fate](siege.drop(b"%d.jpg" % number, whole))
        assert siege.good()
        assert (siege.crashes, siege.hangs) == (0, 0)
        assert "Traceback" not in siege.log.read_text()
