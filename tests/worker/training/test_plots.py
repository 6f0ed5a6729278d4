"""Figures are saved as PNG files, and a browser that hangs is stopped."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from plotly.graph_objects import Figure

from shared.errors import ArtDreamError
from tests.browser import require_chromium
from worker.training.plots import BROWSER_VARIABLE, save_png


@pytest.fixture
def browser_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that makes a shell command the browser, and returns its path."""

    def install(command: str) -> Path:
        path = tmp_path / "browser"
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)
        monkeypatch.setenv(BROWSER_VARIABLE, str(path))
        return path

    return install


def test_a_figure_is_drawn_at_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_chromium()
    monkeypatch.chdir(tmp_path)
    figure = Figure(layout={"width": 640, "height": 480, "paper_bgcolor": "#c04020"})
    assert save_png(figure, Path("figures", "map.png")) == Path("figures", "map.png")
    with Image.open(tmp_path / "figures" / "map.png") as picture:
        assert picture.size == (640, 480)
        assert picture.convert("RGB").getpixel((2, 2)) == (0xC0, 0x40, 0x20)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["map.png"]


@pytest.mark.parametrize("command", ["exec sleep 1000", "exit 1"], ids=["hangs", "crashes"])
def test_a_browser_that_draws_nothing_is_named_and_ended(
    browser_command: Callable[[str], Path], tmp_path: Path, command: str
) -> None:
    browser = browser_command(command)
    with pytest.raises(ArtDreamError, match=f"map.png was not drawn: {browser} .* The HTML page shows the same"):
        save_png(Figure(layout={"width": 200, "height": 100}), tmp_path / "map.png", timeout_seconds=1)
    assert not (tmp_path / "map.png").exists()


def test_where_no_browser_is_installed_one_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BROWSER_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ArtDreamError, match=r"map.png was not drawn, .* install Chrome or Chromium"):
        save_png(Figure(), tmp_path / "map.png")
