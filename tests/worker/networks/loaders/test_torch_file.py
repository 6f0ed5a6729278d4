"""Weights are read from a PyTorch file without PyTorch, and a hostile file runs no code."""

import re
import resource
import struct
from pathlib import Path

import numpy as np
import psutil
import pytest

from shared.errors import ArtDreamError
from worker.networks.loaders.efficientnet_lite import load_lite_from
from worker.networks.loaders.torch_file import MAGIC_NUMBER, PROTOCOL_VERSION, parse_tensors

ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def pickle_text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def pickle_number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def pickle_tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def wrap_pickle(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def pickle_tensor(key: str, count: int, shape: tuple[int, ...], strides: tuple[int, ...], *, offset: int = 0) -> bytes:
    storage = (
        pickle_tuple(
            pickle_text("storage"),
            b"ctorch\nFloatStorage\n",
            pickle_text(key),
            pickle_text("cpu"),
            pickle_number(count),
            b"N",
        )
        + b"Q"
    )
    sides = (pickle_tuple(*map(pickle_number, shape)), pickle_tuple(*map(pickle_number, strides)))
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n"
        + pickle_tuple(storage, pickle_number(offset), *sides, b"\x89", ORDERED_DICT)
        + b"R"
    )


def make_torch_file(
    weights: bytes,
    *,
    count: int = 6,
    numbers: bytes | None = None,
    little_endian: bytes = b"\x88",
    magic: int = MAGIC_NUMBER,
) -> bytes:
    """Write, opcode by opcode, what torch.save(…, _use_new_zipfile_serialization=False) writes for one weight."""
    return b"".join(
        (
            wrap_pickle(pickle_number(magic)),
            wrap_pickle(pickle_number(PROTOCOL_VERSION)),
            wrap_pickle(b"}(" + pickle_text("little_endian") + little_endian + b"u"),
            wrap_pickle(ORDERED_DICT + b"(" + pickle_text("weight") + weights + b"u"),
            wrap_pickle(b"](" + pickle_text("0") + b"e"),
            struct.pack("<q", count),
            np.arange(6, dtype="<f4").tobytes() if numbers is None else numbers,
        )
    )


def test_a_weight_is_read_number_by_number() -> None:
    tensors = parse_tensors(make_torch_file(pickle_tensor("0", 6, (2, 3), (3, 1))), source="good.pth")
    assert tensors["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_transposed_weight_is_read_in_its_own_order() -> None:
    tensors = parse_tensors(make_torch_file(pickle_tensor("0", 6, (3, 2), (1, 3))), source="good.pth")
    assert tensors["weight"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_part_of_a_storage_is_read_from_its_offset() -> None:
    tensors = parse_tensors(make_torch_file(pickle_tensor("0", 6, (2,), (1,), offset=4)), source="good.pth")
    assert tensors["weight"].tolist() == [4, 5]


def test_a_hostile_weights_file_runs_no_code(tmp_path: Path) -> None:
    trace_path = tmp_path / "was-here"
    content = make_torch_file(b"cos\nsystem\n" + pickle_tuple(pickle_text(f"touch {trace_path}")) + b"R")
    with pytest.raises(ArtDreamError, match=r"hostile\.pth .* os\.system"):
        parse_tensors(content, source="hostile.pth")
    assert not trace_path.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "refused"),
        (b"PK\x03\x04 the newer, zipped format", "refused"),
        (make_torch_file(pickle_tensor("0", 6, (6,), (1,)), magic=1), "not a legacy PyTorch file"),
        (make_torch_file(pickle_tensor("0", 6, (6,), (1,)), little_endian=b"\x89"), "little-endian"),
        (make_torch_file(pickle_tensor("0", 6, (6,), (1,)))[:-1], "cut short"),
        (make_torch_file(pickle_tensor("0", 6, (6,), (1,))) + b"?", "follows its last storage"),
        (make_torch_file(pickle_tensor("0", 7, (6,), (1,))), "not what the file said"),
        (make_torch_file(pickle_tensor("0", 2**40, (6,), (1,)), count=2**40), "cut short"),
        (make_torch_file(pickle_tensor("0", 6, (3, 3), (3, 1))), "larger than its storages"),
        (make_torch_file(pickle_tensor("0", 6, (2,), (1,), offset=5)), "beyond its storage"),
        (make_torch_file(pickle_tensor("0", 6, (2**40,), (0,))), "larger than its storages"),
        (make_torch_file(pickle_tensor("0", 6, (2,), (-1,))), "impossible shape"),
        (make_torch_file(pickle_tensor("1", 6, (6,), (1,))), "not what the file said"),
        (make_torch_file(pickle_number(7)), "other than tensors"),
    ],
)
def test_a_damaged_weights_file_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ArtDreamError, match=rf"bad\.pth.*{reason}"):
        parse_tensors(content, source="bad.pth")


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtDreamError, match=r"gone\.pth cannot be read"):
        load_lite_from(tmp_path / "gone.pth")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("collections", "namedtuple"),
        ("numpy", "load"),
        ("torch", "load"),
        ("torch", "FloatStorage.x"),
        ("torch._utils", "_rebuild_qtensor"),
    ],
)
def test_a_weights_file_can_name_nothing_but_tensors(module: str, name: str, tmp_path: Path) -> None:
    """Fails with Python's own find_class, for both opcodes by which a pickle names an object."""
    argument = pickle_text(f"open({str(tmp_path / 'was-here')!r}, 'w')")
    for global_opcode in (f"c{module}\n{name}\n".encode(), pickle_text(module) + pickle_text(name) + b"\x93"):
        with pytest.raises(ArtDreamError, match=re.escape(f"it names {module}.{name}, which no weights need")):
            parse_tensors(make_torch_file(global_opcode + pickle_tuple(argument) + b"R"), source="hostile.pth")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("index", [b"r\xff\xff\xff\x7f", b"p2147483647\n", b"p-1\n"])
def test_a_small_pickle_takes_no_memory(index: bytes) -> None:
    """Fails without the check of the opcodes: Python allocates 30 GB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    memory_in_use = psutil.Process().memory_info().vms
    resource.setrlimit(
        resource.RLIMIT_AS, (memory_in_use + 500_000_000, hard)
    )  # so that a failure here does not exhaust the machine's memory
    try:
        with pytest.raises(ArtDreamError, match="it is larger than weights are"):
            parse_tensors(wrap_pickle(b"]" + index), source="bad.pth")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_many_tensors_of_one_storage_take_no_memory() -> None:
    """Fails without the check of the total size: each tensor is a copy."""
    more_tensors = b"".join(pickle_text(f"w{number}") + pickle_tensor("0", 6, (6,), (1,)) for number in range(50))
    content = make_torch_file(pickle_tensor("0", 6, (6,), (1,)) + more_tensors)
    with pytest.raises(ArtDreamError, match="its tensors are larger than its storages"):
        parse_tensors(content, source="bad.pth")
