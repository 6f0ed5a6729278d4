"""A `.keras` file is validated before Keras loads it: it can neither access other files nor exhaust the memory."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from shared.errors import ArtDreamError
from tests.worker.networks.keras_models import save_model
from worker.networks.loaders.keras_file import load_keras_file
from worker.networks.loaders.keras_file_validation import validate_keras_file
from worker.networks.metadata import NetworkMetadata


@pytest.fixture(scope="module")
def valid_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a small network as Keras saves it, compiled with a custom loss."""
    picture = keras.Input((32, 32, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="first")(picture))
    model = keras.Model(picture, layers.Dense(2, activation=keras.activations.softmax, name="last")(pooled))
    model.compile(optimizer="adam", loss=custom_loss)
    return save_model(model, tmp_path_factory.mktemp("good") / "good.keras").read_bytes()


def custom_loss(expected: Any, actual: Any) -> Any:
    return keras.ops.mean(expected - actual)


def replace_parts(content: bytes, **parts: bytes) -> bytes:
    """Replace or add files of the zip. parts: file name, for existing files without its suffix, to content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, parts.pop(name.partition(".")[0], b"") or old.read(name))
        for name, data in parts.items():
            new.writestr(name, data)
    return buffer.getvalue()


def change_configuration(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return the file with a changed config.json. In it layer 1 is the convolution, layer 3 the dense layer."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        configuration = json.loads(archive.read("config.json"))
    change(configuration)
    return replace_parts(content, config=json.dumps(configuration).encode())


def change_weights(content: bytes, change: Callable[[h5py.File], object]) -> bytes:
    """Return the file with changed weights."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        buffer = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(buffer, "r+") as file:
        change(file)
    return replace_parts(content, model=buffer.getvalue())


def layer_configuration(configuration: dict[str, Any], number: int = 1) -> dict[str, Any]:
    layer: dict[str, Any] = configuration["config"]["layers"][number]
    return layer


def test_a_good_file_passes_with_the_loss_that_somebody_wrote(valid_file: bytes) -> None:
    assert validate_keras_file("good.keras", valid_file) >= 3 * 3 * 3 * 4 + 4 + 4 * 2 + 2
    assert load_keras_file("good.keras", valid_file, NetworkMetadata(), "float32").layers == ("first", "classmap")


@pytest.mark.parametrize("name", ["../evil.py", "/etc/cron.d/evil", "assets/x/../../../evil", "model.weights.json"])
def test_nothing_lies_in_the_zip_but_a_network(name: str, valid_file: bytes) -> None:
    with pytest.raises(ArtDreamError, match="which no network needs"):
        load_keras_file("bad.keras", replace_parts(valid_file, **{name: b"x"}), NetworkMetadata(), "float32")


def test_a_bomb_is_refused_before_it_is_unpacked(valid_file: bytes) -> None:
    with pytest.raises(ArtDreamError, match=r"its config\.json unpacks to 10 MB"):
        load_keras_file("bad.keras", replace_parts(valid_file, config=b" " * 10_000_000), NetworkMetadata(), "float32")


def test_nothing_lies_in_the_zip_twice(valid_file: bytes) -> None:
    buffer = io.BytesIO(valid_file)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", "{}")
    with pytest.raises(ArtDreamError, match="it holds something twice"):
        load_keras_file("bad.keras", buffer.getvalue(), NetworkMetadata(), "float32")


LOOKUP_LAYER = {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}

HOSTILE_CONFIGURATIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a function of the system": (
        lambda c: layer_configuration(c).update(module="os", class_name="system"),
        "it names os.system",
    ),
    "a function of Keras": (
        lambda c: layer_configuration(c).update(module="keras.utils", class_name="get_file"),
        "it names keras.utils.get_file",
    ),
    "a builtin": (
        lambda c: layer_configuration(c)["config"].update(
            activation={"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"}
        ),
        "it names builtins.function",
    ),
    "a class of one's own": (
        lambda c: layer_configuration(c).update(registered_name="mine>Layer"),
        "it holds code of its own",
    ),
    "a lambda": (
        lambda c: layer_configuration(c)["config"].update(
            activation={"class_name": "__lambda__", "config": {"value": "4wA="}}
        ),
        "it holds code of its own",
    ),
    "no module": (lambda c: layer_configuration(c).update(module=None), "it holds code of its own"),
    "a file of this machine": (lambda c: layer_configuration(c).update(LOOKUP_LAYER), "it needs StringLookup"),
    "a saved model of TensorFlow": (
        lambda c: layer_configuration(c).update(class_name="TFSMLayer"),
        "it needs TFSMLayer",
    ),
    "a billion channels": (
        lambda c: layer_configuration(c)["config"].update(filters=10**9),
        "it wants 1e.09 of something",
    ),
    "a number without end": (lambda c: layer_configuration(c)["config"].update(filters=10**400), "it wants endlessly"),
    "no number": (lambda c: layer_configuration(c)["config"].update(filters=float("nan")), "it wants endlessly"),
    "more weights than it has": (
        lambda c: layer_configuration(c)["config"].update(filters=90_000),
        "its layers want more weights",
    ),
    "a hundred thousand layers": (
        lambda c: c["config"].update(layers=c["config"]["layers"] + [layer_configuration(c)] * 60_000),
        "(unpacks to|too many layers)",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_CONFIGURATIONS)
def test_a_configuration_names_no_code_and_no_number_that_is_absurd(name: str, valid_file: bytes) -> None:
    """Fails without the validation, even in Keras's safe mode."""
    change, message = HOSTILE_CONFIGURATIONS[name]
    with pytest.raises(ArtDreamError, match=rf"The network bad\.keras was refused: .*{message}") as raised:
        load_keras_file("bad.keras", change_configuration(valid_file, change), NetworkMetadata(), "float32")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200


def test_a_configuration_that_is_too_deep_is_refused(valid_file: bytes) -> None:
    for deep in (b'{"a":' * 500 + b"1" + b"}" * 500, b"[" * 500_000, b"7", b"[]"):
        with pytest.raises(ArtDreamError, match=r"bad\.keras (was refused|is not a \.keras file)"):
            load_keras_file("bad.keras", replace_parts(valid_file, config=deep), NetworkMetadata(), "float32")


def add_external_dataset(file: h5py.File, folder: Path) -> None:
    file.create_dataset("layers/x", (4,), "<f4", external=[(str(folder / "secret"), 0, 16)])


def add_virtual_dataset(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((4,), "<f4")
    layout[:] = h5py.VirtualSource(str(folder / "secret"), "x", (4,))
    file.create_virtual_dataset("layers/x", layout)


HOSTILE_WEIGHTS: dict[str, tuple[Callable[[h5py.File, Path], object], str]] = {
    "a link to another file": (
        lambda file, folder: file.__setitem__("layers/x", h5py.ExternalLink(str(folder / "secret"), "x")),
        "its weights point to another file",
    ),
    "a link by name": (lambda file, _: file.__setitem__("layers/x", h5py.SoftLink("/layers")), "point to another file"),
    "numbers of another file": (add_external_dataset, "its weights lie in another file"),
    "a view of another file": (add_virtual_dataset, "its weights lie in another file"),
    "a bomb": (
        lambda file, _: file.create_dataset("layers/x", (10**11,), "<f4", chunks=(10**6,), compression="gzip"),
        "its weights are larger than their file",
    ),
    "text": (lambda file, _: file.create_dataset("layers/x", data=np.array([b"x"])), "of the type"),
    "complex numbers": (lambda file, _: file.create_dataset("layers/x", data=np.ones(2, "c8")), "of the type"),
    "a circle": (lambda file, _: file["layers"].__setitem__("x", file["layers"]), "its weights go in circles"),
}


@pytest.mark.parametrize("name", HOSTILE_WEIGHTS)
def test_weights_are_numbers_in_their_own_file(name: str, valid_file: bytes, tmp_path: Path) -> None:
    """Fails without the validation: HDF5 opens any file that a link names."""
    change, message = HOSTILE_WEIGHTS[name]
    (tmp_path / "secret").write_bytes(b"swordfish" * 9)
    with pytest.raises(ArtDreamError, match=rf"bad\.keras was refused: .*{message}"):
        load_keras_file(
            "bad.keras", change_weights(valid_file, lambda file: change(file, tmp_path)), NetworkMetadata(), "float32"
        )
