"""Objectives are values with exact scores, and they compose by addition and scaling."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from shared.errors import ArtDreamError
from shared.recipe.objective import Term
from worker.dreaming.objectives import (
    Objective,
    ObjectiveInputs,
    build_objective,
    channels,
    content,
    guide,
    layer,
    style,
    variation,
)
from worker.dreaming.style_measures import gram_matrix
from worker.networks import Networks

ACTIVATIONS = {
    "a": np.full((2, 3, 4, 5), [[[[2.0]]], [[[3.0]]]], np.float32),
    "b": np.full((2, 1, 1, 7), -1, np.float32),
}


def compute_score(
    objective: Objective, activations: dict[str, Any] = ACTIVATIONS, *, target: Any = None, picture: Any = None
) -> list[float]:
    targets = {objective_target.key: objective_target.compute(target) for objective_target in objective.targets}
    return np.asarray(objective.score(ObjectiveInputs(picture, activations, targets)), np.float64).tolist()


def make_activations(seed: int, batch: int = 1, rows: int = 6, columns: int = 8) -> Any:
    """Return activations of a layer with five channels: (batch, rows, columns, 5) float32 in [0, 1)."""
    return np.random.default_rng(seed).random((batch, rows, columns, 5), np.float32)


def parse_terms(*descriptions: dict[str, Any]) -> tuple[Term, ...]:
    return TypeAdapter(tuple[Term, ...]).validate_python(descriptions)


def test_a_layer_scores_the_mean_square_or_the_mean_for_each_picture() -> None:
    assert compute_score(layer("a")) == [4, 9]
    assert compute_score(layer("a", "mean")) == pytest.approx([2, 3])


def test_channels_score_their_own_mean_only() -> None:
    ramp = np.arange(5, dtype=np.float32) * np.ones((1, 3, 4, 1), np.float32)
    assert compute_score(channels("a", [1, 4]), {"a": ramp}) == [2.5]


def test_objectives_add_up_and_scale() -> None:
    objective = 2 * (layer("a") + layer("b")) + layer("a") * 3
    assert objective.layers == ("a", "b")
    assert compute_score(objective) == [2 * (4 + 1) + 12, 2 * (9 + 1) + 27]


def test_style_does_not_ask_where_things_are_but_what_goes_together() -> None:
    artwork = make_activations(1)
    rearranged = artwork.reshape(1, -1, 5)[:, ::-1].reshape(artwork.shape)
    objective = style("a", "house")
    assert compute_score(objective, {"a": rearranged}, target=artwork) == pytest.approx([0], abs=1e-6)
    assert compute_score(objective, {"a": np.zeros_like(artwork)}, target=artwork) == pytest.approx([-1])
    assert compute_score(objective, {"a": artwork[..., ::-1]}, target=artwork)[0] < -0.001


def test_the_size_of_an_artwork_does_not_matter_to_its_style() -> None:
    artwork = make_activations(1)
    doubled = np.concatenate([artwork, artwork], axis=1)
    assert np.allclose(gram_matrix(artwork), gram_matrix(doubled), rtol=1e-5)


def test_content_asks_where_things_are() -> None:
    photo = make_activations(1, batch=2)
    objective = content("a")
    assert compute_score(objective, {"a": photo}, target=photo) == [0, 0]
    moved = np.stack([photo[0], np.roll(photo[1], 1, axis=0)])
    same, other = compute_score(objective, {"a": moved}, target=photo)
    assert same == 0 > other


def test_a_guide_counts_the_best_match_of_every_place() -> None:
    artwork = np.zeros((1, 1, 2, 5), np.float32)
    artwork[0, 0, 0, 0], artwork[0, 0, 1, 3] = 1, 2
    first, second = np.zeros((2, 1, 1, 1, 5), np.float32)
    first[..., 0], second[..., 3] = 4, 4
    weak, strong = (
        compute_score(guide("a", "house"), {"a": activations}, target=artwork)[0] for activations in (first, second)
    )
    assert strong == pytest.approx(2 * weak)
    assert weak > 0


def test_variation_prefers_calm() -> None:
    calm, stripes = np.zeros((2, 4, 4, 3), np.float32)
    stripes[:, ::2] = 1
    calm_score, stripes_score = compute_score(variation(), picture=np.stack([calm, stripes]))
    assert calm_score == 0
    assert stripes_score == -1


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(Path("/nowhere"))


def test_a_recipe_weighs_its_terms_and_their_layers(networks: Networks) -> None:
    term = {"kind": "layers", "weight": 2, "layers": {"a": 0.5, "b": -2}}
    objective = build_objective(parse_terms(term, term), networks.load("lite"))
    assert objective.layers == ("a", "b")
    assert compute_score(objective) == pytest.approx([0, 2 * 2 * 2.5])


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ({"kind": "channels", "layer": "block10", "channels": [3, 112]}, "no channel 112: its 112 .* 0 to 111"),
        ({"kind": "channels", "layer": "blok10", "channels": [3]}, "no layer “blok10”.*block10"),
        ({"kind": "classes", "classes": ["peacok"]}, "“peacok”.*peacock"),
    ],
)
def test_what_the_network_does_not_have_is_named_with_what_it_has(
    term: dict[str, Any], message: str, networks: Networks
) -> None:
    with pytest.raises(ArtDreamError, match=message):
        build_objective(parse_terms(term), networks.load("lite"))
