"""With JAX the engine keeps the promises that it keeps with TensorFlow."""

import os
import subprocess
import sys

import keras
import pytest

from tests.worker.backend.test_jax import JAX_ENVIRONMENT, ROOT

#: A selection of test_engine.py: all tests take ten minutes with JAX (`KERAS_BACKEND=jax pytest tests/worker`).
ENGINE_TESTS = (
    "test_the_same_seed_gives_the_same_pixels",
    "test_being_watched_does_not_change_the_dream",
    "test_without_steps_the_photo_stays_as_it_was",
    "test_a_faint_dream_lies_where_the_photo_is",
    "test_a_frame_that_cannot_be_told_ends_the_dream",
    "test_a_photo_of_one_colour_dreams",
    "test_a_recipe_that_sees_the_canvas_at_several_scales_is_warm_for_all_of_them",
    "test_an_unknown_layer_is_named_with_near_ones",
    "test_a_runaway_objective_ends_the_dream_with_a_reason[3-1e+38]",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() == "jax", reason="it starts JAX itself"),
    pytest.mark.timeout(1800),  # two minutes on idle cores, but ten beside other work
]


def test_the_engine_keeps_its_promises_with_jax() -> None:
    tests = [
        "backend/test_backend.py",
        "dreaming/test_kuwahara.py",
        "dreaming/test_laplacian.py",
        "dreaming/test_objectives.py",
        *(f"dreaming/test_engine.py::{test_name}" for test_name in ENGINE_TESTS),
    ]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--numprocesses=0",
        *(f"tests/worker/{test}" for test in tests),
    ]
    process = subprocess.run(command, cwd=ROOT, env=os.environ | JAX_ENVIRONMENT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout
