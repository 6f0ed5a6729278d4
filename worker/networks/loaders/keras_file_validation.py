"""The inspection: what a `.keras` file must be before Keras sees it. Keras's safe mode keeps code out, not much else.

A `.keras` file is a zip of a configuration (JSON) and weights (HDF5). A configuration may name any class that Keras can
import, and ask for numbers without end; HDF5 may point to other files of this machine.
"""

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import h5py
import keras

from shared.errors import ArtDreamError

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.weights.h5"

#: What lies in the zip, and the most bytes of each once unpacked. The largest networks of Keras have 1.5 GB of weights.
MAX_FILE_BYTES = {"metadata.json": 10_000, CONFIG_FILE: 20_000_000, WEIGHTS_FILE: 2_000_000_000}

#: How many times larger than packed a part may be, beyond a kilobyte. Keras itself packs nothing.
MAX_COMPRESSION_RATIO = 200

#: What the modules of layers begin with, and those of what only computes.
LAYER_MODULES = ("keras.layers", "keras.models", "keras.src.layers.", "keras.src.models.")
NON_LAYER_MODULES = (
    *("keras.initializers", "keras.regularizers", "keras.constraints", "keras.activations", "keras.dtype_policies"),
    *("keras.optimizers", "keras.losses", "keras.metrics"),
)

#: Classes that Keras keeps in no part of its own.
TOP_LEVEL_CLASSES = ("DTypePolicy", "Functional", "Model", "Sequential")

#: Layers that look beyond the file, or at anything but pictures.
FORBIDDEN_LAYERS = frozenset(
    {"TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "FeatureSpace", "MelSpectrogram"}
)
FORBIDDEN_LAYERS |= {
    "StringLookup",
    "IntegerLookup",
    "TextVectorization",
    "Hashing",
    "HashedCrossing",
    "Discretization",
}

#: Classes of the deepest network that anybody dreams with, its initialisers included, and how deep they lie in others.
MAX_OBJECTS, MAX_NESTING_DEPTH = 50_000, 100

#: The largest number that a layer may be told: no network has more channels, or rows of a kernel.
MAX_CONFIG_NUMBER = 100_000

#: Numbers that may be any.
UNBOUNDED_KEYS = frozenset({"shared_object_id", "seed"})


def validate_keras_file(name: str, content: bytes) -> int:
    """Look through a file; return how many numbers its weights are. Raises ArtDreamError with the first fault."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _validate_archive(archive)
            _validate_config(json.loads(archive.read(CONFIG_FILE)))
            return _validate_weights(archive.read(WEIGHTS_FILE))
    except _InvalidFile as fault:
        raise ArtDreamError(f"The network {name} was refused: {fault}.") from None
    except Exception as error:  # a damaged zip, JSON or HDF5 can raise nearly anything
        raise ArtDreamError(f"The network {name} is not a .keras file, or a damaged one: put it there anew.") from error


@contextmanager
def limit_weight_count(max_count: int) -> Iterator[None]:
    """Let the layers that are made meanwhile hold so many numbers at most; raises ValueError before memory is taken."""
    left, add = max_count, keras.layers.Layer.add_weight

    def add_counted_weight(layer: Any, shape: Any = None, *arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= math.prod(int(side) for side in shape or ())
        if left < 0:
            raise ValueError("its layers want more weights than it has")
        return add(layer, shape, *arguments, **named)

    keras.layers.Layer.add_weight = add_counted_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = add


class _InvalidFile(Exception):
    """What is wrong, in words that go on after “was refused: ”."""


def _validate_archive(archive: zipfile.ZipFile) -> None:
    found = archive.infolist()
    if others := {part.filename for part in found} - MAX_FILE_BYTES.keys():
        raise _InvalidFile(f"it holds {min(others)[:60]!r}, which no network needs")
    if len(found) != len(MAX_FILE_BYTES):
        raise _InvalidFile("it holds something twice, or lacks something")
    for part in found:
        if part.file_size > min(MAX_FILE_BYTES[part.filename], MAX_COMPRESSION_RATIO * (part.compress_size + 1000)):
            raise _InvalidFile(f"its {part.filename} unpacks to {part.file_size / 1e6:,.0f} MB")


def _validate_config(config: Any) -> None:
    if not isinstance(config, dict):
        raise _InvalidFile("its configuration is none")
    config.pop("compile_config", None)  # how it learned, which Keras is not asked for
    classes, todo = 0, [(config, 0)]
    while todo:
        part, depth = todo.pop()
        if depth > MAX_NESTING_DEPTH:
            raise _InvalidFile("its parts lie too deep in each other")
        if isinstance(part, dict):
            if "class_name" in part:
                classes += 1
                _validate_class(part)
            todo += [(value, depth + 1) for key, value in part.items() if key not in UNBOUNDED_KEYS]
        elif isinstance(part, list):
            todo += [(value, depth + 1) for value in part]
        elif isinstance(part, int | float) and not abs(part) <= MAX_CONFIG_NUMBER:
            raise _InvalidFile(
                f"it wants {part:.3g} of something" if part < 10**300 else "it wants endlessly of something"
            )
        if classes > MAX_OBJECTS:
            raise _InvalidFile("it has too many layers")


def _validate_class(spec: Mapping[str, Any]) -> None:
    """Raise _Fault where a class is not Keras's own, of the kinds that networks on pictures are made of."""
    module, kind, registered = spec.get("module"), spec["class_name"], spec.get("registered_name")
    if kind == "__keras_tensor__":
        return
    if kind in ("Lambda", "__lambda__") or not isinstance(module, str) or registered not in (None, kind):
        raise _InvalidFile("it holds code of its own")
    if kind in FORBIDDEN_LAYERS:
        raise _InvalidFile(f"it needs {kind}, which is not taken")
    activation = (module, kind) == ("builtins", "function") and hasattr(keras.activations, str(spec.get("config")))
    if not (
        activation
        or (module == "keras" and kind in TOP_LEVEL_CLASSES)
        or module.startswith((*LAYER_MODULES, *NON_LAYER_MODULES))
    ):
        raise _InvalidFile(f"it names {module[:40]}.{str(kind)[:40]}, which no network needs")


def _validate_weights(content: bytes) -> int:
    """Return how many numbers lie in the weights."""
    numbers = size = met = 0
    with h5py.File(io.BytesIO(content), "r") as file:
        todo: list[h5py.Group] = [file]
        while todo:
            group = todo.pop()
            for name in group:
                met += 1
                if met > MAX_OBJECTS:
                    raise _InvalidFile("its weights go in circles")
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise _InvalidFile("its weights point to another file")
                part = group[name]
                if isinstance(part, h5py.Group):
                    todo.append(part)
                    continue
                if part.is_virtual or part.external:
                    raise _InvalidFile("its weights lie in another file")
                if part.dtype.kind not in "fiuV" or part.dtype.itemsize > 8 or part.dtype.names:
                    raise _InvalidFile(f"its weights are of the type {part.dtype}")
                numbers, size = numbers + part.size, size + part.nbytes
                if size > len(content):
                    raise _InvalidFile("its weights are larger than their file")
    return numbers
