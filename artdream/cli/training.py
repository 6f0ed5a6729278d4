"""`artdream train`, `evaluate` and `embed`: train and examine networks that classify paintings by artist."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from artdream.cli.networks import open_networks
from artdream.cli.options import console, load_settings
from artdream.cli.progress import show_progress_bar, show_progress_bars
from shared.errors import ArtDreamError
from shared.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure

    from artdream.cli.network_output import NetworkOutput
    from worker.networks.network import Network
    from worker.training.dataset import Dataset
    from worker.training.evaluation import Evaluation

NetworkArgument = Annotated[str, typer.Argument(help="`artdream networks` lists them.", metavar="NETWORK")]
PicturesOption = Annotated[Path, typer.Option("--data", help="What `artdream dataset organise` made.")]
InstallationOption = Annotated[
    Path | None, typer.Option("--installation", help="Folder of the installation [./artdream-data].")
]

#: Example pictures in a row of the confusion sheet.
EXAMPLES_PER_PAIR = 4

BACKBONES = ("lite", "lite2", "vgg19", "inception_v3")


def train(
    data: PicturesOption,
    target: Annotated[str, typer.Option("--out", help="artist/NAME, in the installation's store; or a folder.")],
    backbone: Annotated[str, typer.Option("--backbone", help=f"{', '.join(BACKBONES)}.")] = "lite",
    epochs: Annotated[int | None, typer.Option("--epochs", min=0, help="Rounds through all pictures.")] = None,
    side: Annotated[int | None, typer.Option("--side", min=32, help="Pixels: pictures that are learned from.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Pictures of one step.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="The highest learning rate.")] = None,
    patience: Annotated[int | None, typer.Option("--patience", min=1, help="Epochs to wait for a better one.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same training.")] = 0,
    precision: Annotated[str | None, typer.Option("--precision", help="float32 or bfloat16.")] = None,
    is_robust: Annotated[
        bool, typer.Option("--robust", help="Adversarial training: a network that paints rather than speckles.")
    ] = False,
    initial_network: Annotated[
        str | None, typer.Option("--from", metavar="NETWORK", help="Start from the weights of a trained network.")
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option("--epsilon", help="With --robust: L2 norm of the changes that it withstands.")
    ] = None,
    attack_steps: Annotated[
        int | None, typer.Option("--attack-steps", min=1, help="With --robust: steps of the attack.")
    ] = None,
    noise: Annotated[
        float | None, typer.Option("--noise", min=0, help="Standard deviation of the strongest noise in pictures.")
    ] = None,
    licence: Annotated[str, typer.Option("--licence", help="Under which the network may be used.")] = "",
    installation: InstallationOption = None,
) -> None:
    """Train a network to tell artists apart. Killed and called again, it goes on after its last epoch."""
    from artdream.cli.network_output import NetworkOutput
    from worker.quiet_import import quiet_import

    with quiet_import():
        from worker.networks.loaders.keras_file import read_keras_model
        from worker.training.config import TrainingConfig
        from worker.training.export import export_network
        from worker.training.trainer import InitialNetwork, TrainingStep
        from worker.training.trainer import train as train_network
    from worker.training.dataset import Dataset

    if backbone not in BACKBONES:
        raise ArtDreamError(f"There is no backbone “{backbone}”: take one of {', '.join(BACKBONES)}.")
    if not is_robust and (epsilon is not None or attack_steps is not None):
        raise ArtDreamError("--epsilon and --attack-steps belong to adversarial training: say --robust as well.")
    settings = load_settings(data=installation)
    output = NetworkOutput.from_target(target, settings)
    output.require_writable()
    config = TrainingConfig.for_backbone(
        backbone,  # type: ignore[arg-type]
        is_robust=is_robust,
        epsilon=epsilon,
        attack_steps=attack_steps,
        initial_network=initial_network,
        epochs=epochs,
        side=side,
        batch=batch,
        rate=rate,
        noise=noise,
        patience=patience,
        seed=seed,
        precision=precision,
    )
    dataset = Dataset.open(data)
    initial = None
    if initial_network is not None:
        content, metadata = open_networks(settings).read_file(initial_network)
        initial = InitialNetwork(read_keras_model(initial_network, content), metadata.classes)
    state_folder = settings.data / "training" / output.name.replace("/", "-")
    console.print(
        f"{len(dataset.get_part('train'))} paintings by {len(dataset.artists)} artists, data set {dataset.digest}. "
        f"What is learned is kept in {state_folder} after each epoch.",
        soft_wrap=True,
        markup=False,
    )
    with show_progress_bars(console) as progress:
        task = progress.add_task("head", total=1.0)

        def report_step(step: TrainingStep) -> None:
            progress.update(task, description=step.phase, completed=step.fraction)
            if step.epoch_result:
                progress.console.print(
                    f"{step.phase}: loss {step.epoch_result.loss:.3f}, right on val {step.epoch_result.accuracy:.1%}, "
                    f"{_format_robust_accuracy(step.epoch_result.robust_accuracy)}{step.epoch_result.seconds:.0f} s",
                    highlight=False,
                )

        trained = train_network(dataset, config, state_folder, settings.weights, report_step, initial)
    if not trained.is_pretrained:
        console.print(
            f"The weights of {backbone} are not in {settings.weights}: it began from nothing, and will know less. "
            f"`artdream networks fetch {backbone}` gets them.",
            soft_wrap=True,
        )
    command = shlex.join(["artdream", *sys.argv[1:]])
    exported = export_network(output.name, trained, dataset, command=command, licence=licence)
    output.write(exported.files)
    evaluation = exported.evaluation
    console.print(
        f"{output}: {len(exported.content) / 1e6:.1f} MB, sha256 {evaluation.weights[:12]}…, right on "
        f"{evaluation.pictures} pictures of test: {evaluation.top1:.1%} "
        f"(among the first five {evaluation.top5:.1%}), macro F1 {evaluation.macro_f1:.3f}.",
        soft_wrap=True,
        markup=False,
    )
    if robustness := exported.metadata.robustness:
        console.print(
            f"At {robustness.side} px {robustness.top1:.1%}, under attack {robustness.attacked_top1:.1%} (L2 norm "
            f"{robustness.epsilon:g}, {robustness.steps} steps).",
            soft_wrap=True,
            highlight=False,
        )


def _format_robust_accuracy(accuracy: float | None) -> str:
    return "" if accuracy is None else f"under attack {accuracy:.1%}, "


def evaluate(
    network: NetworkArgument,
    data: Annotated[Path, typer.Option("--data", help="A data set, or a folder with a folder for each artist.")],
    part: Annotated[str, typer.Option("--part", help="Of a data set: train, val or test.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    target: Annotated[
        Path | None, typer.Option("--out", help="Folder for the confusion matrix, as a page and a picture.")
    ] = None,
    installation: InstallationOption = None,
) -> None:
    """Say how well a network tells artists apart, on pictures of your own."""
    from worker.quiet_import import quiet_import

    with quiet_import():
        from worker.training.evaluation import evaluate as evaluate_network
    from worker.training.dataset import PARTS, Dataset
    from worker.training.plots import plot_confusion_matrix

    if part not in PARTS:
        raise ArtDreamError(f"There is no part “{part}”: take one of {', '.join(PARTS)}.")
    settings = load_settings(data=installation)
    dataset = Dataset.open_any(data)
    paintings = dataset.get_part(part) if dataset.is_split else dataset.paintings
    loaded_network = open_networks(settings).load(network)
    with show_progress_bar("looking", console) as report_fraction:
        result = evaluate_network(loaded_network, paintings, dataset.artists, report_fraction)
    if as_json:
        sys.stdout.write(result.model_dump_json(indent=1) + "\n")
    else:
        table = Table("Artist", "Pictures", "Precision", "Recall", "F1", box=None, header_style="dim")
        for column in table.columns[1:]:
            column.justify = "right"
        for scores in sorted(result.artists, key=lambda scores: -scores.f1):
            columns = (f"{score:.2f}" for score in (scores.precision, scores.recall, scores.f1))
            table.add_row(scores.artist, str(scores.pictures), *columns)
        console.print(table)
        for pair in result.confused:
            console.print(f"{pair.times} × {pair.artist} taken for {pair.taken_for}", markup=False)
        console.print(
            f"{network}, {result.pictures} pictures: top-1 {result.top1:.1%}, top-5 {result.top5:.1%}, "
            f"macro F1 {result.macro_f1:.3f}, calibration error {result.calibration_error:.3f}.",
            soft_wrap=True,
            markup=False,
        )
    if target is not None:
        _save_figure(plot_confusion_matrix(result), target / "confusion")
        if result.confused:
            _print_path(_save_confusion_sheet(result, target / "confused.png"))


def styles(
    network: NetworkArgument,
    data: Annotated[Path, typer.Option("--data", help="A data set, or a folder with a folder for each artist.")],
    target: Annotated[
        str | None, typer.Option("--out", help="Folder for the file, instead of where the network lies.")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            help="A network that knows the artists: of more works, those are chosen in whose manner it recognises a "
            "dream. One dream takes about a second.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Also a contact sheet of the works, as JPEG or PNG.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed chooses the same works.")] = 0,
    installation: InstallationOption = None,
) -> None:
    """Measure how each artist of a network paints, for recipes with an artist's style, palette or grain."""
    from worker.networks import STYLES_FILE
    from worker.quiet_import import quiet_import

    with quiet_import():
        from worker.training.styles import WORKS_PER_ARTIST, compute_style_statistics
        from worker.training.trial import Trial

    settings = load_settings(data=installation)
    output, loaded_network, dataset, labels = _open_network_and_paintings(network, data, target, settings)
    trial = Trial(open_networks(settings), loaded_network.name, judge) if judge else None
    with show_progress_bars(console) as progress:
        tasks = {phase: progress.add_task(phase, total=1.0, visible=False) for phase in ("looking", "trying")}
        styles = compute_style_statistics(
            loaded_network,
            dataset.paintings,
            labels,
            seed,
            trial,
            lambda phase, fraction: progress.update(tasks[phase], completed=fraction, visible=True),
        )
    content = styles.statistics.to_npz()
    output.write({STYLES_FILE: content})
    console.print(
        f"{output}: {len(styles.works)} of {len(dataset.paintings)} paintings by {len(dataset.artists)} artists, "
        f"{len(content) / 1e6:.1f} MB.",
        soft_wrap=True,
        markup=False,
    )
    if sheet is not None:
        from artdream.cli.contact_sheet import save_contact_sheet

        works = [dataset.paintings[index] for index in styles.works]
        cells = [(dataset.artists[work.artist], "", work.path) for work in works]
        save_contact_sheet(cells, sheet, 2 * WORKS_PER_ARTIST)
        _print_path(sheet)


def embed(
    network: NetworkArgument,
    data: Annotated[Path, typer.Option("--data", help="A data set, or a folder with a folder for each artist.")],
    target: Annotated[
        str | None, typer.Option("--out", help="Folder for the map, instead of where the network lies.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed draws the same map.")] = 0,
    installation: InstallationOption = None,
) -> None:
    """Draw the map of what a network learned: paintings near those that it takes for alike."""
    import numpy as np

    from worker.quiet_import import quiet_import

    with quiet_import():
        from worker.training.feature_extraction import extract_features
    from worker.training.plots import plot_embedding_map
    from worker.training.tsne import build_embedding_map, measure_quality

    settings = load_settings(data=installation)
    output, loaded_network, dataset, labels = _open_network_and_paintings(network, data, target, settings)
    features_path = settings.data / "training" / f"seen-{loaded_network.digest[:16]}-{dataset.digest}.npz"
    with show_progress_bar("looking", console) as report_fraction:
        extracted = extract_features(loaded_network, dataset.paintings, features_path, report_fraction)
    embedding_map = build_embedding_map(extracted.features, labels, seed)
    held_out = np.array(dataset.held_out_mask)
    quality = measure_quality(embedding_map, held_out)
    reference_names = [output.find_reference_name(painting.path) for painting in dataset.paintings]
    output.write(
        {
            "atlas.npz": embedding_map.to_npz(),
            "map.json": embedding_map.as_art_map_json(
                loaded_network.name, loaded_network.classes, reference_names
            ).encode(),
        }
    )
    figure = plot_embedding_map(embedding_map, loaded_network.classes, dataset.paintings)
    _save_figure(figure, features_path.with_name(f"{output.name.replace('/', '-')}-map"), pictures=True)
    console.print(
        f"{output}: {len(dataset.paintings)} paintings. Of {int(held_out.sum())} that were not learned from, the "
        f"neighbours name the artist of {quality.knn_accuracy_features:.1%} in what the network saw, of "
        f"{quality.knn_accuracy_map:.1%} on the map; trustworthiness {quality.trustworthiness:.3f}.",
        soft_wrap=True,
        markup=False,
    )


def _open_network_and_paintings(
    network: str, data: Path, target: str | None, settings: Settings
) -> "tuple[NetworkOutput, Network, Dataset, NDArray[np.int64]]":
    """Return where results go, a network, a data set, and the artists of its paintings as the network's classes.

    target: folder for the results; None: where the network lies. Raises ArtDreamError if one of them cannot be used.
    """
    from artdream.cli.network_output import NetworkOutput
    from worker.quiet_import import quiet_import

    with quiet_import():
        from worker.training.evaluation import label_paintings
    from worker.training.dataset import Dataset

    output = NetworkOutput.from_target(target or network, settings)
    output.require_writable()
    dataset, loaded_network = Dataset.open_any(data), open_networks(settings).load(network)
    return output, loaded_network, dataset, label_paintings(loaded_network, dataset.paintings, dataset.artists)


def _save_figure(figure: "Figure", stem: Path, *, pictures: bool = False) -> None:
    """Save a figure as HTML and, if a browser is installed, as PNG, and print the paths. pictures: has previews."""
    from worker.training.plots import save_html, save_png

    _print_path(save_html(figure, stem.with_suffix(".html"), has_previews=pictures))
    if picture := save_png(figure, stem.with_suffix(".png")):
        _print_path(picture)
    else:
        console.print("No PNG was drawn, for it takes a browser: install Chrome or Chromium.")


def _save_confusion_sheet(evaluation: "Evaluation", target: Path) -> Path:
    """Save a contact sheet of misclassified pictures, one row per confused pair of artists. Returns `target`."""
    from artdream.cli.contact_sheet import save_contact_sheet

    cells: list[tuple[str, str, Path | None]] = []
    for pair in evaluation.confused:
        for index in range(EXAMPLES_PER_PAIR):
            titles = (pair.artist, f"taken for {pair.taken_for}") if index == 0 else ("", "")
            cells.append((*titles, Path(pair.examples[index]) if index < len(pair.examples) else None))
    save_contact_sheet(cells, target, EXAMPLES_PER_PAIR)
    return target


def _print_path(path: Path) -> None:
    console.print(str(path), soft_wrap=True, markup=False)
