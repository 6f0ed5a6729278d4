"""Figures: what was measured, as pages that can be explored and as pictures that can be printed."""

import colorsys
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from worker.networks.embedding_map import EmbeddingMap
from worker.training.dataset import Painting
from worker.training.evaluation import Evaluation

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BACKGROUND_COLOR, TEXT_COLOR = "#faf9f6", "#20201e"

#: Where kaleido, which turns pages into pictures, is told of a browser; and what browsers are called.
BROWSER_VARIABLE = "BROWSER_PATH"
BROWSER_COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

#: Shows the picture of the painting under the pointer; its file is the point's own address.
_HOVER_SCRIPT = """
const graph = document.getElementById('{plot_id}'), shown = document.createElement('img')
shown.style.cssText = 'position:fixed;right:16px;bottom:16px;max-width:256px;box-shadow:0 2px 12px #0006'
document.body.append(shown)
graph.on('plotly_hover', event => { shown.src = event.points[0].customdata || ''; shown.hidden = !shown.src })
graph.on('plotly_unhover', () => { shown.hidden = true })
"""


def plot_confusion_matrix(evaluation: Evaluation) -> "Figure":
    """Draw whose pictures were taken for whose; the artists who are confused most lie side by side."""
    from plotly.graph_objects import Figure, Heatmap

    counts = np.array(evaluation.matrix)
    occurs = [index for index in _order_by_confusion(counts) if counts[index].any()]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [evaluation.classes[index] for index in occurs]
    figure = Figure(
        Heatmap(
            z=shares[np.ix_(occurs, occurs)],
            x=names,
            y=names,
            customdata=counts[np.ix_(occurs, occurs)],
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
    """Draw the paintings of an atlas, coloured by artist; with their files, each is shown under the pointer."""
    from plotly.graph_objects import Figure, Scattergl

    figure = Figure()
    colours = assign_artist_colors(len(classes))
    for index in sorted(set(embedding_map.artist.tolist()), key=lambda one: classes[one]):
        own = np.flatnonzero(embedding_map.artist == index)
        figure.add_trace(
            Scattergl(
                x=embedding_map.places[own, 0],
                y=embedding_map.places[own, 1],
                mode="markers",
                name=classes[index],
                customdata=[paintings[one].path.absolute().as_uri() for one in own.tolist()] if paintings else None,
                hovertemplate=f"{classes[index]}<extra></extra>",
                marker={"size": 6, "color": colours[index], "line": {"width": 0.4, "color": BACKGROUND_COLOR}},
            )
        )
    for index in set(embedding_map.artist.tolist()):
        own = embedding_map.places[embedding_map.artist == index]
        middle = own[np.argmin(np.linalg.norm(own - np.median(own, axis=0), axis=1))]
        figure.add_annotation(
            x=float(middle[0]),
            y=float(middle[1]),
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
    """Save a figure as a page that needs nothing else. pictures: its points know the addresses of their pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(path, include_plotlyjs=True, post_script=_HOVER_SCRIPT if has_previews else None)
    return path


def save_png(figure: "Figure", path: Path) -> Path | None:
    """Save a figure as a PNG. Returns None where no browser is installed, which draws it."""
    browser = os.environ.get(BROWSER_VARIABLE) or next(filter(None, map(shutil.which, BROWSER_COMMANDS)), None)
    if browser is None:
        return None
    os.environ.setdefault(BROWSER_VARIABLE, browser)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.write_image(path, format="png")
    return path


def assign_artist_colors(count: int) -> list[str]:
    """Return as many colours as there are artists, neighbours far apart: by the golden angle, in three shades."""
    shades = ((0.45, 0.75), (0.35, 0.6), (0.6, 0.65))
    colours = []
    for index in range(count):
        lightness, saturation = shades[index % len(shades)]
        red, green, blue = colorsys.hls_to_rgb(index * 0.618034 % 1, lightness, saturation)
        colours.append(f"rgb({round(red * 255)},{round(green * 255)},{round(blue * 255)})")
    return colours


def _order_by_confusion(counts: np.ndarray) -> list[int]:
    """Order artists so that those who are taken for each other lie side by side."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    likeness = shares + shares.T
    np.fill_diagonal(likeness, -1)
    order = [int(np.argmax(counts.sum(axis=1)))]
    while len(order) < len(counts):
        rest = np.setdiff1d(np.arange(len(counts)), order)
        order.append(int(rest[np.argmax(likeness[order[-1], rest])]))
    return order


def _layout(title: str) -> dict[str, object]:
    return {
        "title": {"text": title, "x": 0.02, "font": {"size": 20}},
        "paper_bgcolor": BACKGROUND_COLOR,
        "plot_bgcolor": BACKGROUND_COLOR,
        "font": {"color": TEXT_COLOR, "family": "Georgia, 'DejaVu Serif', serif", "size": 12},
    }
