"""How much of a GPU's memory is taken is told where there is one, and nothing where there is none."""

import shutil

import pytest

from worker.cards import PROGRAM, Cards


def told() -> dict[tuple[str, str], float]:
    return {(s.labels["gpu"], s.labels["what"]): s.value for family in Cards().collect() for s in family.samples}


def test_without_a_card_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert told() == {}


@pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="needs a GPU of NVIDIA's and its driver")
def test_the_memory_of_each_card_is_told_in_bytes() -> None:
    memory = told()
    assert {what for _, what in memory} == {"used", "total"}
    for gpu, _ in memory:
        assert 0 <= memory[gpu, "used"] <= memory[gpu, "total"]
        assert memory[gpu, "total"] > 2**30
