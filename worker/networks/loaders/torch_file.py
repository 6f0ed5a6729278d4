"""Read the tensors of a legacy (pre-1.6, not zipped) PyTorch file without PyTorch and without running what is in it.

The format, as PyTorch's own `torch.serialization._legacy_load` reads it: five pickles (magic number, protocol, a note
on the machine, the tensors as references into storages, the list of storages), then each storage as a 64-bit count and
its raw little-endian numbers. A pickle may call whatever it can name, so this reader lets it name harmless things only.
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

#: The kinds of storage that the networks of this project use.
STORAGE_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}

#: More dimensions than any weight has; bounds what a hostile file can ask for.
MAX_DIMENSIONS = 8

#: Steps of the longest pickle; that of a network with a thousand weights has 60,000.
MAX_PICKLE_OPCODES = 2_000_000

#: The operations that remember an object under an index.
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
    """Stand in for `torch._utils._rebuild_tensor_v2`: note what the tensor is; its numbers come later in the file."""
    if not (isinstance(storage, _Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)):
        raise pickle.UnpicklingError("a tensor that does not refer to a storage")
    whole = (offset, *shape, *strides)
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    if not all(type(number) is int and number >= 0 for number in whole):
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    return _Tensor(storage, whole[0], shape, strides)


def _check_pickles(stream: io.BytesIO) -> None:
    """Look at the five pickles without doing what they say, and go back to the first.

    A pickle of ten bytes can have Python take 30 GB: it makes room for as many remembered objects as an index says
    (CPython gh-115952). PyTorch writes indices from 0 on.
    """
    for _ in range(5):
        for seen, (operation, argument, _) in enumerate(pickletools.genops(stream)):
            if seen > MAX_PICKLE_OPCODES or (
                operation.name in _MEMO_PUT_OPCODES and not 0 <= int(argument or 0) <= MAX_PICKLE_OPCODES
            ):
                raise pickle.UnpicklingError("it is larger than weights are")
    stream.seek(0)


class _RestrictedUnpickler(pickle.Unpickler):
    """An unpickler to which only tensors, storages and ordered dictionaries exist."""

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
    """Return every tensor of a file's bytes, by name, as arrays that own nothing but numbers.

    source: names the file in errors. Raises ArtDreamError where it is not such a file, is cut short, was written on a
    big-endian machine, or asks for anything but tensors.
    """

    def refuse(reason: str) -> NoReturn:
        raise ArtDreamError(f"The weights {source} were refused: {reason}. Install the worker anew, or another file.")

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
    if not (isinstance(tensors, OrderedDict) and all(isinstance(t, _Tensor) for t in tensors.values())):
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
    reach = tensor.offset + sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True))
    if math.prod(tensor.shape) > len(values) or (reach >= len(values) and 0 not in tensor.shape):
        raise ValueError("a tensor reaches beyond its storage")
    strides = [stride * values.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides).copy()
