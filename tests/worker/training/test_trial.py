"""A work in whose manner a dream is recognised as the artist's is rated above one in whose manner it is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.errors import ArtDreamError
from shared.recipe.painters import CLASSIFIER_NETWORK, PAINTERS, PAINTING_NETWORK
from worker.networks import Networks
from worker.training.trial import Trial

pytestmark = pytest.mark.slow

VAN_GOGH, REMBRANDT = PAINTERS.index("Vincent van Gogh"), PAINTERS.index("Rembrandt")


def test_a_work_by_the_artist_is_rated_above_a_work_in_another_manner(tmp_path: Path) -> None:
    networks = Networks(tmp_path)
    bundled = networks.style_statistics(PAINTING_NETWORK)
    assert bundled is not None
    works = [int(np.flatnonzero(bundled.artist == artist)[0]) for artist in (REMBRANDT, VAN_GOGH)]
    attributed_to_van_gogh = replace(bundled.take(works), artist=np.array([VAN_GOGH] * 2, np.int16))
    fractions: list[float] = []
    ratings = Trial(networks, PAINTING_NETWORK, CLASSIFIER_NETWORK).rate(attributed_to_van_gogh, fractions.append)
    assert ratings[1] > ratings[0] + 1
    assert fractions == [0.5, 1.0]


def test_a_judge_that_does_not_know_the_artists_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ArtDreamError, match="The network lite has no class “Albrecht Dürer”"):
        Trial(Networks(tmp_path), PAINTING_NETWORK, "lite")
