"""Read the tensors of a legacy (pre-1.6, not zipped) PyTorch file, without PyTorch and without running its code.

The format, as read by PyTorch's `torch.serialization._legacy_load`: five pickles (magic number, protocol version,
information on the machine, the tensors as references into storages, the list of storages), then each storage as a
64-bit count and its raw little-endian numbers. A pickle may call anything that it can name, so this reader resolves
harmless names only.
"""

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtDreamError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001

#: The types of storage that the networks of this project use.
STORAGE_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}

#: More dimensions than any weight has; bounds what a hostile file can request.
MAX_DIMENSIONS = 8

#: Opcodes of the longest accepted pickle; a network with a thousand weights has 60,000.
MAX_PICKLE_OPCODES = 2_000_000

#: Opcodes that store an object in the memo under an index.
_MEMO_PUT_OPCODES = ("PUT", "BINPUT", "LONG_BINPUT")


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: object, offset: object, shape: object, strides: object, *_: object) -> _Tensor:
    """Replace `torch._utils._rebuild_tensor_v2`: record the tensor's layout; its numbers come later in the file."""
    if not (isinstance(storage, _Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)):
        raise pickle.UnpicklingError("a tensor that does not refer to a storage")
    layout = (offset, *shape, *strides)
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    if not all(type(number) is int and number >= 0 for number in layout):
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    return _Tensor(storage, layout[0], shape, strides)


def _check_pickles(stream: io.BytesIO) -> None:
    """Scan the five pickles without executing them, and rewind the stream.

    A pickle of ten bytes can make Python allocate 30 GB, because the memo grows to the largest index in it (CPython
    gh-115952). PyTorch counts indices from 0.
    """
    for _ in range(5):
        for opcode_count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if opcode_count > MAX_PICKLE_OPCODES or (
                opcode.name in _MEMO_PUT_OPCODES and not 0 <= int(argument or 0) <= MAX_PICKLE_OPCODES
            ):
                raise pickle.UnpicklingError("it is larger than weights are")
    stream.seek(0)


class _RestrictedUnpickler(pickle.Unpickler):
    """An unpickler that resolves only tensors, storages and ordered dictionaries."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _rebuild_tensor
            case "torch", _ if name in STORAGE_DTYPES:
                return STORAGE_DTYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no weights need")

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", np.dtype() as dtype, str(key), str(), int(count), None) if count >= 0:
                return _Storage(key, dtype, count)
        raise pickle.UnpicklingError("a storage of an unknown kind")


def parse_tensors(content: bytes, *, source: str) -> dict[str, NDArray[Any]]:
    """Return every tensor in the content of a file, by name, as NumPy arrays.

    source: names the file in messages. Raises ArtDreamError if the content is not such a file, is cut short, was
    written on a big-endian machine, or holds anything but tensors.
    """

    def refuse(reason: str) -> NoReturn:
        raise ArtDreamError(f"The weights {source} were refused: {reason}. Reinstall the worker, or use another file.")

    stream = io.BytesIO(content)
    try:
        _check_pickles(stream)
        magic, protocol, machine, tensors, keys = (_RestrictedUnpickler(stream).load() for _ in range(5))
    except Exception as error:  # a damaged pickle can raise nearly anything
        refuse(str(error) or type(error).__name__)
    if magic != MAGIC_NUMBER or protocol != PROTOCOL_VERSION:
        refuse("it is not a legacy PyTorch file")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        refuse("it was not written on a little-endian machine")
    if not (isinstance(tensors, OrderedDict) and all(isinstance(tensor, _Tensor) for tensor in tensors.values())):
        refuse("it holds something other than tensors")
    if not (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
        refuse("its list of storages is damaged")

    declared = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages: dict[str, NDArray[Any]] = {}
    position = stream.tell()
    for key in keys:
        storage = declared.get(key)
        if storage is None or int.from_bytes(content[position : position + 8], "little") != storage.count:
            refuse(f"storage {key!r} is not what the file said it would be")
        position += 8
        if position + storage.count * storage.dtype.itemsize > len(content):
            refuse("it is cut short")
        storages[key] = np.frombuffer(content, storage.dtype, storage.count, position)
        position += storage.count * storage.dtype.itemsize
    if position != len(content):
        refuse("something follows its last storage")
    if missing := declared.keys() - storages.keys():
        refuse(f"storage {min(missing)!r} is missing")
    if sum(math.prod(tensor.shape) for tensor in tensors.values()) > sum(map(len, storages.values())):
        refuse("its tensors are larger than its storages")
    try:
        return {str(name): _to_array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}
    except ValueError as error:
        refuse(str(error))


def _to_array(tensor: _Tensor, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype != tensor.storage.dtype:
        raise ValueError("a storage is used as two kinds of numbers")
    last_index = tensor.offset + sum(
        (side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    if math.prod(tensor.shape) > len(values) or (last_index >= len(values) and 0 not in tensor.shape):
        raise ValueError("a tensor reaches beyond its storage")
    strides = [stride * values.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides).copy()
