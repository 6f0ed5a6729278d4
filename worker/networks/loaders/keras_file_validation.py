"""Validate `.keras` files before Keras opens them. Keras's safe mode blocks code, but not much else.

A `.keras` file is a zip of a configuration (JSON) and weights (HDF5). A configuration may name any class that Keras can
import, and request arrays of any size; HDF5 may link to other files on this machine.
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

#: Members of the zip, and the largest unpacked size of each in bytes. The largest Keras networks have 1.5 GB weights.
MAX_FILE_BYTES = {"metadata.json": 10_000, CONFIG_FILE: 20_000_000, WEIGHTS_FILE: 2_000_000_000}

#: Largest ratio of a member's unpacked to packed size (plus a kilobyte), against zip bombs. Keras does not compress.
MAX_COMPRESSION_RATIO = 200

#: Prefixes of the modules of layers, and of other classes that only compute.
LAYER_MODULES = ("keras.layers", "keras.models", "keras.src.layers.", "keras.src.models.")
NON_LAYER_MODULES = (
    *("keras.initializers", "keras.regularizers", "keras.constraints", "keras.activations", "keras.dtype_policies"),
    *("keras.optimizers", "keras.losses", "keras.metrics"),
)

#: Classes that Keras exports from its top-level module.
TOP_LEVEL_CLASSES = ("DTypePolicy", "Functional", "Model", "Sequential")

#: Layers that use something outside the file, or process something other than pictures.
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

#: Most objects of a configuration (layers, initializers, …) or a weights file, and deepest nesting of a configuration:
#: more than any network in use has.
MAX_OBJECTS, MAX_NESTING_DEPTH = 50_000, 100

#: Largest number in a configuration: no network has more channels, or rows of a kernel.
MAX_CONFIG_NUMBER = 100_000

#: Keys whose numbers are not limited.
UNBOUNDED_KEYS = frozenset({"shared_object_id", "seed"})


def validate_keras_file(name: str, content: bytes) -> int:
    """Validate a file and return the number of its weights. Raises ArtDreamError that names the first fault.

    name: names the network in messages.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _validate_archive(archive)
            _validate_config(json.loads(archive.read(CONFIG_FILE)))
            return _validate_weights(archive.read(WEIGHTS_FILE))
    except _InvalidFile as fault:
        raise ArtDreamError(f"The network {name} was refused: {fault}.") from None
    except Exception as error:  # a damaged zip, JSON or HDF5 can raise nearly anything
        raise ArtDreamError(f"The network {name} is not a .keras file, or a damaged one: replace it.") from error


@contextmanager
def limit_weight_count(max_count: int) -> Iterator[None]:
    """Limit the weights of all layers built inside this context. Raises ValueError before memory is allocated."""
    remaining, original_add_weight = max_count, keras.layers.Layer.add_weight

    def add_counted_weight(layer: Any, shape: Any = None, *arguments: Any, **keywords: Any) -> Any:
        nonlocal remaining
        remaining -= math.prod(int(side) for side in shape or ())
        if remaining < 0:
            raise ValueError("its layers want more weights than it has")
        return original_add_weight(layer, shape, *arguments, **keywords)

    keras.layers.Layer.add_weight = add_counted_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = original_add_weight


class _InvalidFile(Exception):
    """A file is invalid; the text is the reason, worded to follow “was refused: ”."""


def _validate_archive(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if unexpected := {member.filename for member in members} - MAX_FILE_BYTES.keys():
        raise _InvalidFile(f"it holds {min(unexpected)[:60]!r}, which no network needs")
    if len(members) != len(MAX_FILE_BYTES):
        raise _InvalidFile("it holds something twice, or lacks something")
    for member in members:
        if member.file_size > min(
            MAX_FILE_BYTES[member.filename], MAX_COMPRESSION_RATIO * (member.compress_size + 1000)
        ):
            raise _InvalidFile(f"its {member.filename} unpacks to {member.file_size / 1e6:,.0f} MB")


def _validate_config(config: Any) -> None:
    if not isinstance(config, dict):
        raise _InvalidFile("its configuration is none")
    config.pop("compile_config", None)  # the training setup, which is not restored
    object_count, pending = 0, [(config, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_NESTING_DEPTH:
            raise _InvalidFile("its parts lie too deep in each other")
        if isinstance(node, dict):
            if "class_name" in node:
                object_count += 1
                _validate_class(node)
            pending += [(value, depth + 1) for key, value in node.items() if key not in UNBOUNDED_KEYS]
        elif isinstance(node, list):
            pending += [(value, depth + 1) for value in node]
        elif isinstance(node, int | float) and not abs(node) <= MAX_CONFIG_NUMBER:
            raise _InvalidFile(
                f"it wants {node:.3g} of something" if node < 10**300 else "it wants endlessly of something"
            )
        if object_count > MAX_OBJECTS:
            raise _InvalidFile("it has too many layers")


def _validate_class(spec: Mapping[str, Any]) -> None:
    """Raise _InvalidFile unless a class is one of Keras and of a kind that networks on pictures need."""
    module, class_name, registered = spec.get("module"), spec["class_name"], spec.get("registered_name")
    if class_name == "__keras_tensor__":
        return
    if class_name in ("Lambda", "__lambda__") or not isinstance(module, str) or registered not in (None, class_name):
        raise _InvalidFile("it holds code of its own")
    if class_name in FORBIDDEN_LAYERS:
        raise _InvalidFile(f"it needs {class_name}, which is not taken")
    is_activation = (module, class_name) == ("builtins", "function") and hasattr(
        keras.activations, str(spec.get("config"))
    )
    if not (
        is_activation
        or (module == "keras" and class_name in TOP_LEVEL_CLASSES)
        or module.startswith((*LAYER_MODULES, *NON_LAYER_MODULES))
    ):
        raise _InvalidFile(f"it names {module[:40]}.{str(class_name)[:40]}, which no network needs")


def _validate_weights(content: bytes) -> int:
    """Return the number of weights in an HDF5 file. Raises _InvalidFile."""
    weight_count = byte_count = object_count = 0
    with h5py.File(io.BytesIO(content), "r") as file:
        pending: list[h5py.Group] = [file]
        while pending:
            group = pending.pop()
            for name in group:
                object_count += 1
                if object_count > MAX_OBJECTS:
                    raise _InvalidFile("its weights go in circles")
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise _InvalidFile("its weights point to another file")
                item = group[name]
                if isinstance(item, h5py.Group):
                    pending.append(item)
                    continue
                if item.is_virtual or item.external:
                    raise _InvalidFile("its weights lie in another file")
                if item.dtype.kind not in "fiuV" or item.dtype.itemsize > 8 or item.dtype.names:
                    raise _InvalidFile(f"its weights are of the type {item.dtype}")
                weight_count, byte_count = weight_count + item.size, byte_count + item.nbytes
                if byte_count > len(content):
                    raise _InvalidFile("its weights are larger than their file")
    return weight_count
