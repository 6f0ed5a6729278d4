"""Plots of evaluations and embedding maps, as interactive HTML pages and as PNG files."""

import colorsys
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from shared.errors import ArtDreamError
from worker.networks.embedding_map import EmbeddingMap
from worker.training.dataset import Painting
from worker.training.evaluation import Evaluation

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BACKGROUND_COLOR, TEXT_COLOR = "#faf9f6", "#20201e"

#: Environment variable that names the browser that draws PNG files, and the commands of known ones, lightest first.
BROWSER_VARIABLE = "BROWSER_PATH"
BROWSER_COMMANDS = (
    *("chromium-headless-shell", "chromium", "chromium-browser"),
    *("google-chrome", "google-chrome-stable", "chrome"),
)

#: Shows the painting under the pointer; `customdata` of each point is the URL of its file.
_HOVER_SCRIPT = """
const graph = document.getElementById('{plot_id}'), shown = document.createElement('img')
shown.style.cssText = 'position:fixed;right:16px;bottom:16px;max-width:256px;box-shadow:0 2px 12px #0006'
document.body.append(shown)
graph.on('plotly_hover', event => { shown.src = event.points[0].customdata || ''; shown.hidden = !shown.src })
graph.on('plotly_unhover', () => { shown.hidden = true })
"""


def plot_confusion_matrix(evaluation: Evaluation) -> "Figure":
    """Plot the confusion matrix of an evaluation; artists that are often confused are adjacent."""
    from plotly.graph_objects import Figure, Heatmap

    counts = np.array(evaluation.matrix)
    shown_artists = [index for index in _order_by_confusion(counts) if counts[index].any()]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [evaluation.classes[index] for index in shown_artists]
    figure = Figure(
        Heatmap(
            z=shares[np.ix_(shown_artists, shown_artists)],
            x=names,
            y=names,
            customdata=counts[np.ix_(shown_artists, shown_artists)],
            colorscale=[[0, BACKGROUND_COLOR], [0.02, "#f0e4cf"], [0.3, "#d9a441"], [1, "#5a2d0c"]],
            zmin=0,
            zmax=1,
            xgap=1,
            ygap=1,
            hovertemplate="%{y}<br>taken for %{x}<br>%{customdata} pictures, %{z:.0%}<extra></extra>",
            colorbar={"tickformat": ".0%", "thickness": 12, "len": 0.5, "outlinewidth": 0},
        )
    )
    title = f"{evaluation.network}: {evaluation.top1:.1%} of {evaluation.pictures} pictures by their own artist"
    figure.update_layout(_layout(title), width=1280, height=1240, margin={"l": 190, "b": 190, "t": 70, "r": 30})
    figure.update_yaxes(autorange="reversed", title="painted by")
    figure.update_xaxes(tickangle=-60, title="taken for")
    return figure


def plot_embedding_map(
    embedding_map: EmbeddingMap, classes: Sequence[str], paintings: Sequence[Painting] = ()
) -> "Figure":
    """Plot the paintings of an embedding map, coloured by artist.

    classes: artists by channel. paintings: in the order of the map; if given, the painting under the pointer is shown.
    """
    from plotly.graph_objects import Figure, Scattergl

    figure = Figure()
    colors = assign_artist_colors(len(classes))
    for index in sorted(set(embedding_map.artist.tolist()), key=lambda channel: classes[channel]):
        rows = np.flatnonzero(embedding_map.artist == index)
        figure.add_trace(
            Scattergl(
                x=embedding_map.places[rows, 0],
                y=embedding_map.places[rows, 1],
                mode="markers",
                name=classes[index],
                customdata=[paintings[row].path.absolute().as_uri() for row in rows.tolist()] if paintings else None,
                hovertemplate=f"{classes[index]}<extra></extra>",
                marker={"size": 6, "color": colors[index], "line": {"width": 0.4, "color": BACKGROUND_COLOR}},
            )
        )
    for index in set(embedding_map.artist.tolist()):
        points = embedding_map.places[embedding_map.artist == index]
        label_position = points[np.argmin(np.linalg.norm(points - np.median(points, axis=0), axis=1))]
        figure.add_annotation(
            x=float(label_position[0]),
            y=float(label_position[1]),
            text=classes[index],
            showarrow=False,
            font={"size": 13, "color": TEXT_COLOR},
            bgcolor="rgba(250,249,246,0.75)",
            borderpad=1,
        )
    figure.update_layout(
        _layout(f"{len(embedding_map.places)} paintings, near those that the network takes for alike"),
        width=1600,
        height=1100,
        margin={"l": 20, "r": 20, "t": 60, "b": 20},
        legend={"itemsizing": "constant", "font": {"size": 11}},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return figure


def save_html(figure: "Figure", path: Path, *, has_previews: bool = False) -> Path:
    """Save a figure as a self-contained HTML page and return its path.

    has_previews: `customdata` of the points are URLs of pictures, shown under the pointer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(path, include_plotlyjs=True, post_script=_HOVER_SCRIPT if has_previews else None)
    return path


def save_png(figure: "Figure", path: Path, timeout_seconds: float = 60) -> Path:
    """Draw a figure in a browser, save it as a PNG, and return its path.

    Raises ArtDreamError if no browser is installed, or if it has not drawn the figure within `timeout_seconds`.
    """
    browser = os.environ.get(BROWSER_VARIABLE) or next(filter(None, map(shutil.which, BROWSER_COMMANDS)), None)
    if browser is None:
        raise ArtDreamError(f"{path} was not drawn, which needs a browser: install Chrome or Chromium.")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the file: a browser from a snap package reads nothing of the system's temporary folder.
    with TemporaryDirectory(dir=path.parent.absolute(), ignore_cleanup_errors=True) as folder:
        page, screenshot = Path(folder, "figure.html"), Path(folder, "figure.png")
        plot = figure.to_html(full_html=False, include_plotlyjs=True, config={"staticPlot": True})
        page.write_text(f'<!doctype html><meta charset="utf-8"><style>body {{ margin: 0 }}</style>{plot}', "utf-8")
        command = [
            *(browser, "--headless", "--no-first-run", "--hide-scrollbars", f"--user-data-dir={folder}/profile"),
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # as root, Chromium does not start with its sandbox
            f"--window-size={figure.layout.width},{figure.layout.height}",
            *("--virtual-time-budget=10000", f"--screenshot={screenshot}", page.as_uri()),
        ]
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(  # noqa: S603  the browser that the user has installed
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=timeout_seconds
            )
        if not screenshot.exists():
            reason = f"{browser} did not do it within {timeout_seconds:g} s"
            raise ArtDreamError(f"{path} was not drawn: {reason}. The HTML page shows the same.")
        shutil.move(screenshot, path)
    return path


def assign_artist_colors(count: int) -> list[str]:
    """Return a CSS colour for each artist, neighbours unlike: hues by the golden angle, in three shades."""
    shades = ((0.45, 0.75), (0.35, 0.6), (0.6, 0.65))
    colors = []
    for index in range(count):
        lightness, saturation = shades[index % len(shades)]
        red, green, blue = colorsys.hls_to_rgb(index * 0.618034 % 1, lightness, saturation)
        colors.append(f"rgb({round(red * 255)},{round(green * 255)},{round(blue * 255)})")
    return colors


def _order_by_confusion(counts: np.ndarray) -> list[int]:
    """Order artists so that those who are often confused are adjacent."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    similarity = shares + shares.T
    np.fill_diagonal(similarity, -1)
    order = [int(np.argmax(counts.sum(axis=1)))]
    while len(order) < len(counts):
        remaining = np.setdiff1d(np.arange(len(counts)), order)
        order.append(int(remaining[np.argmax(similarity[order[-1], remaining])]))
    return order


def _layout(title: str) -> dict[str, object]:
    return {
        "title": {"text": title, "x": 0.02, "font": {"size": 20}},
        "paper_bgcolor": BACKGROUND_COLOR,
        "plot_bgcolor": BACKGROUND_COLOR,
        "font": {"color": TEXT_COLOR, "family": "Georgia, 'DejaVu Serif', serif", "size": 12},
    }
