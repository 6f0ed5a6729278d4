"""What a sidecar tells guests of a dream's effect is evidence, or nothing."""

import pytest

from shared.jobs.events import ClassProbability
from shared.jobs.job import Job
from shared.recipe.recipe import load_recipe
from shared.storage.sidecar import ModerationScores
from tests.sidecars import make_sidecar

VERDICTS = (
    ClassProbability(name="Paul Klee", photo=0.01, dream=0.7),
    ClassProbability(name="Joan Miro", photo=0.02, dream=0.1),
)


@pytest.mark.parametrize(("critic", "names"), [("artist/other", ["Paul Klee"]), ("artist/climbed", []), ("", [])])
def test_guests_are_told_of_the_painter_asked_for_and_only_by_a_network_that_was_not_climbed(
    critic: str, names: list[str]
) -> None:
    job = Job(photo_id="0" * 64, recipe=load_recipe("more-paul-klee"))
    sidecar = make_sidecar(job, network="artist/climbed", critic=critic, verdicts=VERDICTS)
    assert [verdict.name for verdict in sidecar.evidence] == names
    assert sidecar.to_completed_event().verdicts == sidecar.evidence


def test_one_picture_that_reaches_the_threshold_or_cannot_be_scored_is_enough_to_wait_for_the_operator() -> None:
    scores = ModerationScores(network="0" * 64, threshold=0.5)
    assert not scores.needs_approval
    below = (
        scores.with_score("photo", 0.1).with_score("frames", 0.49).with_score("frames", 0.2).with_score("dream", 0.0)
    )
    assert not below.needs_approval
    assert (below.photo, below.frames, below.dream, below.highest) == (0.1, 0.49, 0.0, 0.49)
    for picture in ("photo", "frames", "dream"):
        assert below.with_score(picture, 0.5).needs_approval
        failed = below.with_score(picture, None).with_score(picture, 0.0)
        assert failed.needs_approval
        assert failed.failed == (picture,)
