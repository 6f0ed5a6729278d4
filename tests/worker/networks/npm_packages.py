"""npm packages that hold a quantized TensorFlow.js model, byte for byte in the format of the published one."""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from worker.networks.loaders.downloads import INCEPTION_FIRST_LAYERS
from worker.networks.loaders.npm_package import NpmPackage
from worker.networks.loaders.packaged_layers import PackagedLayers, digest_arrays

MODEL_FOLDER = "package/dist/models/inception_v3"

#: Browserify's wrapper of each module, as in the published package.
MODULE_BEFORE = (
    '!function(d){if("object"==typeof exports&&"undefined"!=typeof module)module.exports=d();else{("undefined"!=typeof '
    'window?window:self).group1=d()}}(function(){return function d(h,Z,S){var l="function"==typeof require&&require;'
    "return l}({1:[function(d,h,Z){h.exports="
)
MODULE_AFTER = "},{}]},{},[1])(1)});"

#: Bytes of a shard; small, so that a shard ends in the middle of a tensor.
SHARD_BYTES = 600


class QuantizedTensor(NamedTuple):
    """A tensor of 8 bits: its value is `minimum + scale × levels`."""

    levels: np.ndarray
    minimum: float
    scale: float

    @property
    def values(self) -> np.ndarray:
        return (self.levels * np.float64(self.scale) + self.minimum).astype(np.float32)


def quantize(values: np.ndarray) -> QuantizedTensor:
    """Quantize values to 8 bits between their extremes."""
    minimum, scale = float(values.min()), float(np.ptp(values)) / 255
    return QuantizedTensor(np.round((values - minimum) / scale).astype(np.uint8), minimum, scale)


def make_tensors(convolutions: int = 2, channels: int = 8) -> dict[str, QuantizedTensor]:
    """Return random convolutions with batch normalizations, and a dense layer that no dream needs."""
    rng = np.random.default_rng(3)
    shapes: dict[str, tuple[int, ...]] = {"dense_1/kernel": (16, 5)}
    for number in range(1, convolutions + 1):
        shapes[f"conv2d_{number}/kernel"] = (3, 3, 3 if number == 1 else channels, channels)
        for weight in ("beta", "moving_mean", "moving_variance"):
            shapes[f"batch_normalization_{number}/{weight}"] = (channels,)
    return {
        name: QuantizedTensor(rng.integers(0, 256, shapes[name], np.uint8), -0.75, 0.004) for name in sorted(shapes)
    }


def write_number(number: float) -> str:
    """Return a number as a minifier writes it: without a leading zero."""
    return repr(number).replace("0.", ".", 1) if abs(number) < 1 and "e" not in repr(number) else repr(number)


def write_tensor(name: str, tensor: QuantizedTensor) -> str:
    """Return a tensor's entry in the weights manifest."""
    return (
        f'{{name:"{name}",shape:{json.dumps(tensor.levels.shape, separators=(",", ":"))},dtype:"float32",quantization:'
        f'{{min:{write_number(tensor.minimum)},scale:{write_number(tensor.scale)},dtype:"uint8"}}}}'
    )


def write_modules(tensors: Mapping[str, QuantizedTensor], shard_bytes: int = SHARD_BYTES) -> dict[str, str]:
    """Return the JavaScript modules of a model, by their names in the package."""
    content = b"".join(tensor.levels.tobytes() for tensor in tensors.values())
    shards = [content[start : start + shard_bytes] for start in range(0, len(content), shard_bytes)]
    names = [f"group1-shard{number}of{len(shards)}" for number in range(1, len(shards) + 1)]
    entries = ",".join(write_tensor(name, tensor) for name, tensor in tensors.items())
    model = (
        '{modelTopology:{keras_version:"2.2.4",layers:[{name:"input_1",config:{batch_input_shape:[null,299,299,3]}}]},'
        f"weightsManifest:[{{paths:{json.dumps(names, separators=(',', ':'))},weights:[{entries}]}}]}}"
    )
    literals = {"model": model} | {
        name: f'"{base64.b64encode(shard).decode()}"' for name, shard in zip(names, shards, strict=True)
    }
    return {
        f"{MODEL_FOLDER}/{name}.min.js": MODULE_BEFORE + literal + MODULE_AFTER for name, literal in literals.items()
    }


def pack(modules: Mapping[str, str], extra: Iterable[tarfile.TarInfo] = ()) -> bytes:
    """Return a package's archive. extra: members without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, text in {"package/package.json": '{"name":"nsfwjs"}', **modules}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        for member in extra:
            archive.addfile(member)
    return buffer.getvalue()


def select_arrays(tensors: Mapping[str, QuantizedTensor], convolutions: int) -> dict[str, np.ndarray]:
    """Return the arrays that are kept of a package with these tensors."""
    names = {"beta": "beta", "mean": "moving_mean", "variance": "moving_variance"}
    arrays = {}
    for number in range(1, convolutions + 1):
        arrays[f"conv{number}/kernel"] = tensors[f"conv2d_{number}/kernel"].values
        for kept_name, name in names.items():
            arrays[f"conv{number}/{kept_name}"] = tensors[f"batch_normalization_{number}/{name}"].values
    return arrays


def describe_layers(content: bytes, arrays: Mapping[str, np.ndarray]) -> PackagedLayers:
    """Return the description of the layers in a package, as the published package has one."""
    package = NpmPackage("nsfwjs", "4.4.0", hashlib.sha256(content).hexdigest(), len(content))
    layers = INCEPTION_FIRST_LAYERS.layers
    return PackagedLayers(
        "inception_v3", "mixed5", layers, len(arrays) // 4, package, MODEL_FOLDER, digest_arrays(arrays), 1, "MIT"
    )
