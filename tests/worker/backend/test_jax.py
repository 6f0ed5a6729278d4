"""With JAX the engine renders the same dreams as with TensorFlow, and does not import TensorFlow."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.worker.dreaming.render_dreams import RECIPE_TERMS
from tools.sample_photo.person import outline_person

ROOT = Path(__file__).parents[3]

# JAX compiles for every shape; on a CPU, compiling takes half the time without optimization.
JAX_ENVIRONMENT = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0"}

# oneDNN rounds differently from TensorFlow's plain kernels: such dreams differ from each other as much as from JAX's.
TENSORFLOW_ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() == "jax", reason="it starts JAX itself"),
    pytest.mark.timeout(600),
]


class RenderProcess:
    """A running render_dreams.py, and its results."""

    def __init__(self, output_path: Path, **environment: str) -> None:
        command = [sys.executable, "-m", "tests.worker.dreaming.render_dreams", str(output_path)]
        self._output_path = output_path
        self._process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE)

    def wait(self) -> tuple[Mapping[str, NDArray[Any]], dict[str, Any]]:
        """Wait for the end; return the pictures by name, and the printed report."""
        report_json, _ = self._process.communicate()
        assert self._process.returncode == 0
        with np.load(self._output_path) as pictures:
            return dict(pictures), json.loads(report_json)


BackendResults = tuple[
    tuple[Mapping[str, NDArray[Any]], dict[str, Any]], tuple[Mapping[str, NDArray[Any]], dict[str, Any]]
]


@pytest.fixture(scope="module")
def backend_results(tmp_path_factory: pytest.TempPathFactory) -> BackendResults:
    """Return the results of JAX and of TensorFlow, rendered at the same time."""
    folder = tmp_path_factory.mktemp("dreams")
    jax, tensorflow = (
        RenderProcess(folder / "jax.npz", **JAX_ENVIRONMENT),
        RenderProcess(folder / "tensorflow.npz", **TENSORFLOW_ENVIRONMENT),
    )
    return jax.wait(), tensorflow.wait()


def test_with_jax_nothing_imports_tensorflow(backend_results: BackendResults) -> None:
    assert backend_results[0][1]["imported"] == []
    assert backend_results[1][1]["imported"] == ["tensorflow"]


def test_with_jax_a_second_dream_compiles_nothing(backend_results: BackendResults) -> None:
    assert backend_results[0][1]["compilations"] == 0


def test_jax_on_a_cpu_computes_in_float32(backend_results: BackendResults) -> None:
    assert backend_results[0][1]["precision"] == "float32"


def test_both_compute_the_same_gradient(backend_results: BackendResults) -> None:
    """Measured: 2e-6 with JAX 0.10 and 4e-5 with 0.12, but for a few pixels.

    There a unit at the corner of a ReLU is on in one and off in the other.
    """
    jax, tensorflow = (pictures["slope"] for pictures, _ in backend_results)
    squared_difference = np.square(jax - tensorflow).sum(axis=-1).ravel()
    smallest_95_percent = np.sort(squared_difference)[: int(0.95 * squared_difference.size)]
    assert np.sqrt(smallest_95_percent.sum() / np.square(tensorflow).sum()) < 1e-4
    assert np.sqrt(squared_difference.sum() / np.square(tensorflow).sum()) < 0.03


@pytest.mark.parametrize("name", RECIPE_TERMS)
def test_both_dream_the_same(name: str, backend_results: BackendResults) -> None:
    """The mean difference is below 1.2 grey levels; from noise, where Adam's first step is a sign, below 1.5.

    Longer dreams differ more, as they do between two processors: each step builds on the last.
    """
    photo = backend_results[0][0]["portrait" if name == "background" else "photo"].astype(float)
    jax, tensorflow = (pictures[name].astype(float) for pictures, _ in backend_results)
    is_changed = (tensorflow != photo).any(axis=-1)
    assert np.abs(tensorflow - photo)[is_changed].mean() > 2
    assert np.abs(jax - tensorflow).mean() < (1.5 if name == "noise" else 1.2)
    assert np.corrcoef((jax - photo).ravel(), (tensorflow - photo).ravel())[0, 1] > 0.85


def test_both_leave_the_same_people_exactly_as_they_are(backend_results: BackendResults) -> None:
    unchanged = [(pictures["background"] == pictures["portrait"]).all(axis=-1) for pictures, _ in backend_results]
    people = cv2.erode(outline_person(unchanged[0].shape[::-1]).astype(np.uint8), np.ones((41, 41), np.uint8)) == 1
    for is_unchanged in unchanged:
        assert is_unchanged[people].all()
        assert is_unchanged.mean() < 0.7
