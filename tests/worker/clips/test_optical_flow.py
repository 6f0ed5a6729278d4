"""Optical flow finds where the points of a picture were in the one before, and which were not there."""

import numpy as np

from tests.worker.clips.videos import make_pan
from worker.clips.optical_flow import FlowEstimator


def test_a_pan_moves_every_point_by_the_same_offset() -> None:
    before, now = make_pan(2, (192, 128), pixels=5)
    motion = FlowEstimator().estimate(now, before)
    inside = motion.flow[16:-16, 16:-32]
    assert np.abs(np.median(inside[..., 0]) - 5) < 0.2
    assert np.abs(np.median(inside[..., 1])) < 0.2
    warped = motion.warp(before.astype(np.float32))
    assert np.abs(warped[16:-16, 16:-32] - now[16:-16, 16:-32]).mean() < 3


def test_what_comes_into_the_picture_is_not_consistent_and_carries_nothing() -> None:
    before, now = make_pan(2, (192, 128), pixels=8)
    motion = FlowEstimator().estimate(now, before)
    ones = np.ones((128, 192, 1), np.float32)
    assert not motion.is_consistent[:, -6:].any()
    assert motion.carry(ones)[:, -6:].max() < 0.5
    assert motion.carry(ones)[16:-16, 16:-32].min() > 0.9


def test_what_an_object_uncovers_is_not_consistent() -> None:
    scene = make_pan(1, (192, 128))[0]
    before, now = scene.copy(), scene.copy()
    before[40:80, 60:100] = now[40:80, 76:116] = (250, 20, 20)
    motion = FlowEstimator().estimate(now, before)
    assert motion.is_consistent[50:70, 62:74].mean() < 0.5
    assert motion.is_consistent[:, 140:].mean() > 0.95


def test_another_scene_has_nothing_of_the_one_before() -> None:
    before, now = make_pan(1, (192, 128))[0], make_pan(1, (192, 128))[0][::-1, ::-1]
    motion = FlowEstimator().estimate(now, before)
    assert motion.carry(np.ones((128, 192, 1), np.float32)).mean() < 0.6


def test_a_still_camera_carries_everything_unchanged() -> None:
    picture = make_pan(1)[0]
    motion = FlowEstimator().estimate(picture, picture)
    values = np.random.default_rng(0).normal(size=(*picture.shape[:2], 3)).astype(np.float32)
    assert np.abs(motion.carry(values) - values).max() < 1e-3
