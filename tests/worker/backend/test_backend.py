"""The backend functions compute the same numbers on every library. test_jax.py runs these tests on JAX as well."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from worker.backend import compile_function, count_traces, resize, roll, value_and_gradient

ROOT = Path(__file__).parents[3]

PICTURES_SIGNATURE: tuple[tuple[int | None, ...], str] = ((None, None, None, 3), "float32")


def make_noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def find_neighbors(length: int, output_length: int) -> tuple[NDArray[np.int_], NDArray[np.int_], NDArray[np.float64]]:
    """Return the two input pixels of each output pixel, and the weight of the second; half-pixel centres."""
    positions = np.clip((np.arange(output_length) + 0.5) * length / output_length - 0.5, 0, length - 1)
    lower = np.floor(positions).astype(int)
    return lower, np.minimum(lower + 1, length - 1), positions - lower


def resize_bilinear(pictures: NDArray[np.float32], height: int, width: int) -> NDArray[np.float64]:
    top, bottom, row_share = find_neighbors(pictures.shape[1], height)
    left, right, column_share = find_neighbors(pictures.shape[2], width)
    rows = pictures[:, top] * (1 - row_share)[:, None, None] + pictures[:, bottom] * row_share[:, None, None]
    return rows[:, :, left] * (1 - column_share)[:, None] + rows[:, :, right] * column_share[:, None]


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (24, 30), (13, 47), (31, 8)])
def test_pictures_are_scaled_up_and_down_without_averaging(size: tuple[int, int]) -> None:
    pictures = make_noise(2, 12, 15, 3)
    np.testing.assert_allclose(np.asarray(resize(pictures, *size)), resize_bilinear(pictures, *size), atol=1e-5)


def test_each_picture_is_rolled_by_its_own_shift() -> None:
    pictures, shifts = make_noise(3, 8, 10, 3), np.array([[2, -3], [0, 0], [-9, 25]], np.int32)
    expected = [np.roll(picture, shift, (0, 1)) for picture, shift in zip(pictures, shifts, strict=True)]
    assert np.array_equal(np.asarray(roll(pictures, shifts)), np.stack(expected))


def test_the_gradient_is_that_of_the_sum_and_reaches_through_rolling_and_scaling() -> None:
    picture, shifts = make_noise(2, 6, 8, 3), np.array([[1, 2], [3, -4]], np.int32)

    def score(x: Any) -> Any:
        return ops.sum(ops.square(roll(resize(x, 12, 16), shifts)), axis=(1, 2, 3))

    value, (gradient,) = value_and_gradient(score, ops.convert_to_tensor(picture))
    nudge = 0.01 * make_noise(2, 6, 8, 3)
    score_ahead, score_behind = (np.sum(np.asarray(score(picture + sign * nudge), np.float64)) for sign in (1, -1))
    assert np.asarray(value).shape == (2,)
    assert (score_ahead - score_behind) / 2 == pytest.approx(float(np.sum(np.asarray(gradient) * nudge)), rel=1e-3)


def test_what_a_score_does_not_look_at_has_a_gradient_of_zero() -> None:
    _, (gradient,) = value_and_gradient(lambda x: ops.zeros(1), ops.convert_to_tensor(make_noise(1, 4, 4, 3)))  # noqa: ARG005
    assert np.array_equal(np.asarray(gradient), np.zeros((1, 4, 4, 3)))


def test_a_compiled_function_takes_any_shape_and_traces_none_twice() -> None:
    double = compile_function(lambda x: 2 * x, input_specs=[PICTURES_SIGNATURE])
    shapes = [(1, 4, 6, 3), (2, 6, 4, 3)]
    for shape in shapes:
        assert np.array_equal(np.asarray(double(make_noise(*shape))), 2 * make_noise(*shape))
    before = count_traces()
    for shape in shapes:
        double(make_noise(*shape))
    assert count_traces() == before > 0


def test_numbers_of_another_type_become_what_was_said() -> None:
    root = compile_function(lambda x: ops.sqrt(x), input_specs=[((), "float32")])
    assert np.asarray(root(np.float64(2))).dtype == np.float32


def test_the_weights_of_a_model_are_read_at_every_call_and_not_part_of_what_is_compiled() -> None:
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)])
    call_model = compile_function(lambda x: model(x), input_specs=[PICTURES_SIGNATURE], model=model)
    first = np.asarray(call_model(make_noise(1, 8, 8, 3)))
    before = count_traces()
    model.set_weights([-weight for weight in model.get_weights()])
    np.testing.assert_allclose(np.asarray(call_model(make_noise(1, 8, 8, 3))), -first, atol=1e-6)
    assert count_traces() == before


@pytest.mark.parametrize(
    ("plugins", "chosen", "expected"),
    [
        (["jax_cuda12_plugin"], "", "jax"),
        (["jax_cuda12_plugin"], "tensorflow", "tensorflow"),
        ([], "", ""),
    ],
)
def test_a_worker_with_cuda_for_jax_renders_with_jax_unless_told_otherwise(
    plugins: list[str], chosen: str, expected: str, tmp_path: Path
) -> None:
    """Seen failing: with the extra `gpu` alone, it rendered with TensorFlow, on the processor."""
    for plugin in plugins:
        (tmp_path / plugin).mkdir()
        (tmp_path / plugin / "__init__.py").touch()
    program = "import os, worker; print(os.environ['KERAS_BACKEND'])"
    environment = os.environ | {"KERAS_BACKEND": chosen, "PYTHONPATH": str(tmp_path)}
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.stdout == f"{expected}\n", process.stderr


@pytest.mark.parametrize(
    ("chosen", "missing", "sentence"),
    [
        ("torch", "", "KERAS_BACKEND=torch is not supported: say tensorflow, or jax."),
        ("numpy", "", "KERAS_BACKEND=numpy is not supported: say tensorflow, or jax."),
        ("jax", "jax", "KERAS_BACKEND=jax needs JAX, which is not installed here: install `artdream[jax]`."),
    ],
)
def test_another_library_is_refused_in_one_sentence(chosen: str, missing: str, sentence: str) -> None:
    program = f"import sys; sys.modules.update(dict.fromkeys({missing.split()!r})); import worker.app"
    environment = os.environ | {"KERAS_BACKEND": chosen}
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == f"shared.errors.ArtDreamError: {sentence}"
