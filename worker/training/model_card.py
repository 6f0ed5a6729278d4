"""The model card: what a network is, what it was made from, and how far it can be trusted (Mitchell et al., 2019)."""

from collections.abc import Sequence

from worker.networks.metadata import NetworkMetadata
from worker.training.evaluation import ArtistScore, Evaluation

#: Artists that are told as known best and worst.
MAX_LISTED_ARTISTS = 8


def render_model_card(metadata: NetworkMetadata, evaluation: Evaluation) -> str:
    """Return the card as Markdown."""
    lesson = metadata.lesson
    known = sorted(evaluation.artists, key=lambda one: -one.f1)
    lines = [
        f"# {evaluation.network}",
        "",
        f"Tells {len(metadata.classes)} artists apart by their paintings, and dreams as each of them.",
        "",
    ]
    if lesson:
        before = "ImageNet weights" if lesson.from_imagenet else "random weights"
        parts = ", ".join(f"{count} {part}" for part, count in lesson.pictures.items())
        lines += [
            "| | |",
            "|---|---|",
            f"| backbone | `{lesson.backbone}`, from {before} |",
            f"| data set | digest `{lesson.data}`: {parts} |",
            f"| epochs | {lesson.epochs}, of which number {lesson.best} was the best on `val` |",
            f"| looks at | pictures with short sides of {' and '.join(map(str, metadata.sides))} px, and in the "
            "mirror |",
            f"| weights | SHA-256 `{evaluation.weights}`, float16 |",
            f"| licence | {metadata.licence or 'not stated'} |",
            "",
            "Made by",
            "",
            f"    {lesson.command}",
            "",
        ]
    lines += [
        f"## On the {evaluation.pictures} pictures of `test`, which it did not learn from",
        "",
        "| top-1 | top-5 | macro F1 | calibration error |",
        "|---|---|---|---|",
        f"| {evaluation.top1:.1%} | {evaluation.top5:.1%} | {evaluation.macro_f1:.3f} | "
        f"{evaluation.calibration_error:.3f} |",
        "",
        f"Known best: {_format_scores(known[:MAX_LISTED_ARTISTS])}. Known worst: "
        f"{_format_scores(known[::-1][:MAX_LISTED_ARTISTS])}. "
        "(F1; some artists have few pictures in `test`.)",
        "",
        "Most often confused: "
        + "; ".join(
            f"{one.artist} taken for {one.taken_for} ({one.times})" for one in evaluation.confused[:MAX_LISTED_ARTISTS]
        )
        + ".",
        "",
        "## What it is for, and what not",
        "",
        "It was made to dream, and to show what a network takes for an artist's hand. It knows its artists by",
        "reproductions of their works; whatever else those have in common (a scanner, a frame, a museum's light) it",
        "may have learned as well. It says nothing about who painted a picture, and names one of its artists for any",
        "picture at all.",
    ]
    return "\n".join(lines) + "\n"


def _format_scores(scores: Sequence[ArtistScore]) -> str:
    return ", ".join(f"{one.artist} {one.f1:.2f}" for one in scores)
