"""A new picture is placed among the paintings that the network takes for alike."""

import numpy as np

from worker.networks.embedding_map import EmbeddingMap


def make_map(paintings_each: int) -> EmbeddingMap:
    """Return a map of two artists' paintings: features along different axes, places left and right."""
    rng = np.random.default_rng(0)
    features = np.repeat(np.eye(2, 4, dtype=np.float32), paintings_each, axis=0)
    places = np.repeat(np.array([[-30, 0], [30, 0]], np.float32), paintings_each, axis=0)
    return EmbeddingMap(
        mean=np.zeros(4, np.float32),
        components=np.eye(4, dtype=np.float32),
        principal=features + rng.normal(0, 0.05, features.shape).astype(np.float32),
        places=places + rng.normal(0, 1, places.shape).astype(np.float32),
        artist=np.repeat(np.array([0, 1], np.int16), paintings_each),
    )


def test_a_picture_lies_among_the_paintings_that_are_like_it() -> None:
    left, right = make_map(20).locate(np.array([[7, 0.5, 0, 0], [0.1, 2, 0, 0]], np.float32))
    assert np.hypot(*(left - [-30, 0])) < 3
    assert np.hypot(*(right - [30, 0])) < 3


def test_a_map_of_few_paintings_has_a_place_for_a_picture() -> None:
    assert np.isfinite(make_map(3).locate(np.ones((1, 4), np.float32))).all()


def test_the_place_of_a_picture_does_not_depend_on_the_others() -> None:
    embedding_map = make_map(20)
    features = np.random.default_rng(1).random((3, 4), np.float32)
    one_by_one = np.concatenate([embedding_map.locate(row[None]) for row in features])
    assert np.array_equal(embedding_map.locate(features), one_by_one)
