"""The model card: what a network is, how it was made, and how far it can be trusted (Mitchell et al., 2019)."""

from collections.abc import Sequence

from worker.networks.metadata import NetworkMetadata
from worker.training.evaluation import ArtistScore, Evaluation

#: Largest number of artists in each list (recognised best, worst) and of confused pairs.
MAX_LISTED_ARTISTS = 8


def render_model_card(metadata: NetworkMetadata, evaluation: Evaluation) -> str:
    """Return the model card as Markdown."""
    training_record = metadata.lesson
    ranked_artists = sorted(evaluation.artists, key=lambda score: -score.f1)
    lines = [
        f"# {evaluation.network}",
        "",
        f"Tells {len(metadata.classes)} artists apart by their paintings, and dreams as each of them.",
        "",
    ]
    if training_record:
        initial_network = training_record.plan.get("initial_network")
        imagenet_or_random = "ImageNet weights" if training_record.from_imagenet else "random weights"
        initial_weights = f"the weights of `{initial_network}`" if initial_network else imagenet_or_random
        parts = ", ".join(f"{count} {part}" for part, count in training_record.pictures.items())
        lines += [
            "| | |",
            "|---|---|",
            f"| backbone | `{training_record.backbone}`, from {initial_weights} |",
            f"| data set | digest `{training_record.data}`: {parts} |",
            f"| epochs | {training_record.epochs}, of which number {training_record.best} was the best on `val` |",
            f"| looks at | pictures with short sides of {' and '.join(map(str, metadata.sides))} px, and in the "
            "mirror |",
            f"| weights | SHA-256 `{evaluation.weights}`, float16 |",
            f"| licence | {metadata.licence or 'not stated'} |",
            "",
            "Made by",
            "",
            f"    {training_record.command}",
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
        f"Known best: {_format_scores(ranked_artists[:MAX_LISTED_ARTISTS])}. Known worst: "
        f"{_format_scores(ranked_artists[::-1][:MAX_LISTED_ARTISTS])}. "
        "(F1; some artists have few pictures in `test`.)",
        "",
        "Most often confused: "
        + "; ".join(
            f"{confusion.artist} taken for {confusion.taken_for} ({confusion.times})"
            for confusion in evaluation.confused[:MAX_LISTED_ARTISTS]
        )
        + ".",
        "",
        *_describe_robustness(metadata),
        "## What it is for, and what not",
        "",
        "It was made to dream, and to show what a network takes for an artist's hand. It knows its artists by",
        "reproductions of their works; whatever else those have in common (a scanner, a frame, a museum's light) it",
        "may have learned as well. It says nothing about who painted a picture, and names one of its artists for any",
        "picture at all.",
    ]
    return "\n".join(lines) + "\n"


def _describe_robustness(metadata: NetworkMetadata) -> list[str]:
    if not (score := metadata.robustness):
        return []
    return [
        "## Under attack",
        "",
        f"It was trained on pictures of {score.side} px that an attack had changed (L2 norm {score.epsilon:g}, of",
        f"pictures in [0, 1]). Of the same {score.pictures} pictures at that side it names {score.top1:.1%} right, and",
        f"{score.attacked_top1:.1%} after {score.steps} steps of projected gradient ascent. That makes it worse at",
        "naming painters than an ordinary network, and better at dreaming as them: its gradients show shapes and",
        "colours.",
        "",
    ]


def _format_scores(scores: Sequence[ArtistScore]) -> str:
    return ", ".join(f"{score.artist} {score.f1:.2f}" for score in scores)
