"""The check of wording finds what a reader would stumble over, in every kind of text, and leaves code alone."""

from pathlib import Path

import pytest

from tools.wording import find_faults


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("page.md", "# Title\n\nThe broker\nis away.\n", 4),
        ("module.py", 'def f():\n    """Reads.\n\n    If the broker is away, it waits.\n    """\n', 4),
        ("module.py", "# It goes on after\n# the broker was away.\n", 1),
        ("module.py", 'raise ArtDreamError(f"{name} is away.")\n', 1),
        ("texts.toml", 'lost = "The wall is away"\n', 1),
        ("page.md", "It reads the the page.\n", 1),
    ],
    ids=["page", "docstring", "comment", "message", "text", "proselint's own"],
)
def test_a_word_with_a_better_one_is_found_in_its_line(tmp_path: Path, name: str, text: str, line: int) -> None:
    (tmp_path / name).write_text(text)
    assert [fault.split(": ")[0] for fault in find_faults(tmp_path / name)][:1] == [f"{tmp_path / name}:{line}"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.md", "Call `go on()` with [this](was/away.md):\n\n```\nstep aside\n```\n\n    set aside\n"),
        ("module.py", 'is_away = "away" if is_away else f"{is_away}"\n'),
        ("page.md", "# Title\n\nTitle\n"),
    ],
    ids=["code of a page", "code", "a heading and the words below it"],
)
def test_code_is_left_alone(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert list(find_faults(tmp_path / name)) == []
