"""Convolutions compute in bfloat16 if the processor supports it, or in the precision that the operator chose."""

from pathlib import Path

import pytest

from worker.backend.precision import choose_precision


@pytest.mark.parametrize(
    ("cpu", "precision"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 sse", "bfloat16"),
        ("flags\t\t: fpu amx_tile amx_bf16", "bfloat16"),
        ("Features\t: fp asimd bf16", "bfloat16"),
        ("flags\t\t: fpu avx2 avx512f", "float32"),
        ("model name\t: an avx512_bf16 in name only", "float32"),
    ],
)
def test_the_processor_decides(cpu: str, precision: str, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{cpu}\n")
    assert choose_precision("auto", tmp_path / "cpuinfo") == precision


def test_where_nothing_is_known_it_is_exact(tmp_path: Path) -> None:
    assert choose_precision("auto", tmp_path / "missing") == "float32"


def test_what_was_wanted_is_taken(tmp_path: Path) -> None:
    assert choose_precision("bfloat16", tmp_path / "missing") == "bfloat16"
    assert choose_precision("float32") == "float32"
