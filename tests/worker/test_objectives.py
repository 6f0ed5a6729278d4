"""Objectives are values: what they score can be said in numbers, and they add up."""

import numpy as np
import pytest

from shared.recipe import Layers
from worker.objectives import layer, objective_of

SEEN = {"a": np.full((2, 3, 4, 5), [[[[2.0]]], [[[3.0]]]], np.float32), "b": np.full((2, 1, 1, 7), -1, np.float32)}


def test_a_layer_scores_its_mean_square_for_each_picture() -> None:
    assert np.asarray(layer("a").score(SEEN)).tolist() == [4, 9]


def test_a_recipe_weighs_its_layers() -> None:
    objective = objective_of(Layers(layers={"a": 0.5, "b": -2}))
    assert objective.layers == ("a", "b")
    assert np.asarray(objective.score(SEEN)).tolist() == pytest.approx([0, 2.5])


def test_objectives_add_up_and_scale() -> None:
    objective = 2 * (layer("a") + layer("b")) + layer("a") * 3
    assert objective.layers == ("a", "b")
    assert np.asarray(objective.score(SEEN)).tolist() == [2 * (4 + 1) + 12, 2 * (9 + 1) + 27]
