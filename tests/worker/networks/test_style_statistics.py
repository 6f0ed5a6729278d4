"""Style statistics survive their file, and a seed draws one of an artist's works."""

import numpy as np
import pytest

from shared.errors import ArtDreamError
from worker.networks.style_statistics import StyleStatistics


def make_statistics() -> StyleStatistics:
    rng = np.random.default_rng(0)
    return StyleStatistics(
        artist=np.array([0, 0, 1], np.int16),
        palettes=rng.random((3, 12, 24), np.float32),
        grains=rng.random((3, 5), np.float32),
        factors={"block1": rng.random((3, 8, 2), np.float32)},
    )


def test_they_are_read_as_they_were_written() -> None:
    statistics = make_statistics()
    read = StyleStatistics.from_npz(statistics.to_npz(), "styles.npz")
    assert np.array_equal(read.artist, statistics.artist)
    assert np.allclose(read.palettes, statistics.palettes, atol=1e-3)
    assert np.allclose(read.grains, statistics.grains, atol=1e-3)
    assert np.allclose(read.gram_matrix("block1", 2), statistics.gram_matrix("block1", 2), atol=1e-2)


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_damaged_file_is_named(damage: bytes | None) -> None:
    content = make_statistics().to_npz()
    with pytest.raises(ArtDreamError, match=r"The style statistics styles.npz cannot be read.*artdream styles"):
        StyleStatistics.from_npz(content[: len(content) // 2] if damage is None else damage, "styles.npz")


def test_a_seed_always_draws_the_same_work_and_all_works_as_often() -> None:
    statistics = make_statistics()
    draws = [statistics.draw_work(0, seed) for seed in range(200)]
    assert draws == [statistics.draw_work(0, seed) for seed in range(200)]
    assert 70 < draws.count(1) < 130
    assert set(draws) == {0, 1}
    assert {statistics.draw_work(1, seed) for seed in range(9)} == {2}


def test_what_is_not_in_them_is_said() -> None:
    with pytest.raises(ArtDreamError, match="no style statistics of this artist"):
        make_statistics().draw_work(7, 0)
    with pytest.raises(ArtDreamError, match=r"no layer “block9”: they have block1"):
        make_statistics().gram_matrix("block9", 0)
