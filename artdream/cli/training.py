"""`artdream train`, `evaluate`, `embed` and `styles`: train and examine networks that recognize artists."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from artdream.cli.command import Command, command, print_message
from artdream.cli.networks import open_networks
from artdream.cli.options import (
    DATASET_HELP,
    DataOption,
    JsonOption,
    NetworkArgument,
    UsageError,
    console,
    declare_network_option,
    declare_seed_option,
    declare_sheet_option,
    load_settings,
    print_json,
)
from artdream.cli.progress import show_progress_bar, show_progress_bars
from artdream.cli.tables import PlainTable
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

#: Example pictures in a row of the confusion sheet.
EXAMPLES_PER_PAIR = 4

Backbone = Literal["lite", "lite2", "vgg19", "inception_v3"]


class DatasetCommand(Command):
    """A command on a data set: its option --data once meant the data set, and --installation what --data means now."""

    def find_renamed_options(self, args: Sequence[str]) -> Mapping[str, str]:
        """Take --data in its old meaning if there is no --dataset, which is required."""
        has_dataset = any(argument.partition("=")[0] == "--dataset" for argument in args)
        return {"--installation": "--data", "--licence": "--license"} | ({} if has_dataset else {"--data": "--dataset"})


training = typer.Typer(help="Train networks on artists, and examine them.")

AnyDatasetOption = Annotated[
    Path,
    typer.Option(
        "--dataset",
        metavar="FOLDER",
        help="A data set, or any folder with a folder of pictures for each artist.",
    ),
]


@command(
    training,
    cls=DatasetCommand,
    examples=[
        "artdream train --dataset data --out artist/mine",
        "artdream train --dataset data --out artist/mine-robust --robust --from artist/mine",
    ],
)
def train(
    dataset_folder: Annotated[
        Path,
        typer.Option("--dataset", metavar="FOLDER", help=DATASET_HELP),
    ],
    target: Annotated[
        str,
        typer.Option("--out", metavar="NAME", help="Name of the new network: artist/NAME in the store, or a folder."),
    ],
    backbone: Annotated[
        Backbone, typer.Option("--backbone", metavar="NAME", help=f"Architecture: {', '.join(get_args(Backbone))}.")
    ] = "lite",
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", metavar="N", min=0, help="Passes over all pictures.", show_default="the backbone's"),
    ] = None,
    side: Annotated[
        int | None,
        typer.Option(
            "--side", metavar="PIXELS", min=32, help="Side of the training pictures.", show_default="the backbone's"
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", metavar="N", min=1, help="Pictures per step.", show_default="32")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="RATE", help="Highest learning rate.", show_default="the backbone's"),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            metavar="EPOCHS",
            min=1,
            help="Epochs without a better validation before training stops.",
            show_default="10",
        ),
    ] = None,
    seed: Annotated[int, declare_seed_option("gives the same training")] = 0,
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option("--precision", metavar="TYPE", help="Compute type: float32 or bfloat16."),
    ] = "float32",
    is_robust: Annotated[
        bool,
        typer.Option("--robust", help="Adversarial training: dreams through the network show shapes, not speckle."),
    ] = False,
    initial_network: Annotated[
        str | None,
        declare_network_option(
            "Trained network whose weights to start from.", "--from", show_default="ImageNet weights"
        ),
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(
            "--epsilon",
            metavar="NORM",
            help="With --robust: L2 norm of the changes that the network withstands.",
            show_default="1.2",
        ),
    ] = None,
    attack_steps: Annotated[
        int | None,
        typer.Option(
            "--attack-steps", metavar="N", min=1, help="With --robust: steps of the attack.", show_default="1"
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            "--noise",
            metavar="SIGMA",
            min=0,
            help="Standard deviation of the strongest noise that is added to pictures in [-1, 1].",
            show_default="0",
        ),
    ] = None,
    license_text: Annotated[
        str, typer.Option("--license", metavar="TEXT", help="License of the network, for its model card.")
    ] = "",
    data: DataOption = None,
) -> None:
    """Train a network to recognize artists. Running it again resumes after the last completed epoch."""
    from artdream.cli.network_output import NetworkOutput
    from worker.quiet_import import quiet_import

    with quiet_import():
        from worker.networks.loaders.keras_file import read_keras_model
        from worker.training.config import TrainingConfig
        from worker.training.export import export_network
        from worker.training.trainer import InitialNetwork, TrainingStep
        from worker.training.trainer import train as train_network
    from worker.training.dataset import Dataset

    if not is_robust and (epsilon is not None or attack_steps is not None):
        raise UsageError("--epsilon and --attack-steps need --robust.")
    settings = load_settings(data=data)
    output = NetworkOutput.from_target(target, settings)
    output.require_writable()
    config = TrainingConfig.for_backbone(
        backbone,
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
    dataset = Dataset.open(dataset_folder)
    initial = None
    if initial_network is not None:
        content, metadata = open_networks(settings).read_file(initial_network)
        initial = InitialNetwork(read_keras_model(initial_network, content), metadata.classes)
    state_folder = settings.data / "training" / output.name.replace("/", "-")
    console.print(
        f"{len(dataset.get_part('train'))} paintings by {len(dataset.artists)} artists, data set {dataset.digest}. "
        f"The state of training is saved in {state_folder} after each epoch.",
        soft_wrap=True,
        markup=False,
    )
    with show_progress_bars(console) as progress:
        task = progress.add_task("head", total=1.0)

        def report_step(step: TrainingStep) -> None:
            progress.update(task, description=step.phase, completed=step.fraction)
            if step.epoch_result:
                progress.console.print(
                    f"{step.phase}: loss {step.epoch_result.loss:.3f}, val accuracy {step.epoch_result.accuracy:.1%}, "
                    f"{_format_robust_accuracy(step.epoch_result.robust_accuracy)}{step.epoch_result.seconds:.0f} s",
                    highlight=False,
                )

        trained = train_network(dataset, config, state_folder, settings.weights, report_step, initial)
    if not trained.is_pretrained:
        console.print(
            f"Training started from random weights, because those of {backbone} are not in {settings.weights}, and the "
            f"network is less accurate. `artdream networks fetch {backbone}` downloads them.",
            soft_wrap=True,
        )
    invocation = shlex.join(["artdream", *sys.argv[1:]])
    exported = export_network(output.name, trained, dataset, command=invocation, licence=license_text)
    output.write(exported.files)
    evaluation = exported.evaluation
    console.print(
        f"{output}: {len(exported.content) / 1e6:.1f} MB, sha256 {evaluation.weights[:12]}…. On "
        f"{evaluation.pictures} pictures of test: top-1 {evaluation.top1:.1%}, top-5 {evaluation.top5:.1%}, "
        f"macro F1 {evaluation.macro_f1:.3f}.",
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


@command(
    training,
    cls=DatasetCommand,
    examples=[
        "artdream evaluate artist/mine --dataset data",
        "artdream evaluate artist/masters --dataset paintings --out figures",
    ],
)
def evaluate(
    network: NetworkArgument,
    dataset_folder: AnyDatasetOption,
    part: Annotated[
        Literal["train", "val", "test"],
        typer.Option("--part", metavar="PART", help="Part of the data set: train, val or test."),
    ] = "test",
    as_json: JsonOption = False,
    target: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Folder to save the confusion matrix in, as HTML and PNG."),
    ] = None,
    data: DataOption = None,
) -> None:
    """Measure how well a network recognizes artists."""
    from worker.quiet_import import quiet_import

    with quiet_import():
        from worker.training.evaluation import evaluate as evaluate_network
    from worker.training.dataset import Dataset
    from worker.training.plots import plot_confusion_matrix

    settings = load_settings(data=data)
    dataset = Dataset.open_any(dataset_folder)
    paintings = dataset.get_part(part) if dataset.is_split else dataset.paintings
    loaded_network = open_networks(settings).load(network)
    with show_progress_bar("looking", console) as report_fraction:
        result = evaluate_network(loaded_network, paintings, dataset.artists, report_fraction)
    if as_json:
        print_json(result)
    else:
        table = PlainTable("Artist", numbers=("Pictures", "Precision", "Recall", "F1"))
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
        figures = _save_figure(plot_confusion_matrix(result), target / "confusion")
        if result.confused:
            figures.append(_save_confusion_sheet(result, target / "confused.png"))
        if not as_json:
            _print_paths(figures)


@command(
    training,
    cls=DatasetCommand,
    examples=["artdream styles artist/mine --dataset data --judge artist/masters"],
)
def styles(
    network: NetworkArgument,
    dataset_folder: AnyDatasetOption,
    target: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Folder to write the file to.", show_default="where the network is"
        ),
    ] = None,
    judge: Annotated[
        str | None,
        declare_network_option(
            "Network that knows the artists: of eight works of each, the three are chosen in whose dreams it "
            "recognizes the artist best. A dream takes about a second.",
            "--judge",
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        declare_sheet_option("of the works"),
    ] = None,
    seed: Annotated[int, declare_seed_option("chooses the same works")] = 0,
    data: DataOption = None,
) -> None:
    """Measure the style of each artist of a network, for recipes that use it."""
    from worker.networks import STYLES_FILE
    from worker.quiet_import import quiet_import

    with quiet_import():
        from worker.training.styles import WORKS_PER_ARTIST, compute_style_statistics
        from worker.training.trial import Trial

    settings = load_settings(data=data)
    output, loaded_network, dataset, labels = _open_network_and_paintings(network, dataset_folder, target, settings)
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
        _print_paths([sheet])


@command(training, cls=DatasetCommand, examples=["artdream embed artist/mine --dataset data"])
def embed(
    network: NetworkArgument,
    dataset_folder: AnyDatasetOption,
    target: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Folder to write the map to.", show_default="where the network is"
        ),
    ] = None,
    seed: Annotated[int, declare_seed_option("gives the same map")] = 0,
    data: DataOption = None,
) -> None:
    """Build a 2-D map of a network's embedding; similar paintings lie close together."""
    import numpy as np

    from worker.quiet_import import quiet_import

    with quiet_import():
        from worker.training.feature_extraction import extract_features
    from worker.training.plots import plot_embedding_map
    from worker.training.tsne import build_embedding_map, measure_quality

    settings = load_settings(data=data)
    output, loaded_network, dataset, labels = _open_network_and_paintings(network, dataset_folder, target, settings)
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
    _print_paths(_save_figure(figure, features_path.with_name(f"{output.name.replace('/', '-')}-map"), pictures=True))
    console.print(
        f"{output}: {len(dataset.paintings)} paintings. Of {int(held_out.sum())} that were not trained on, the nearest "
        f"neighbors have the right artist for {quality.knn_accuracy_features:.1%} among the network's features, and "
        f"for {quality.knn_accuracy_map:.1%} on the map; trustworthiness {quality.trustworthiness:.3f}.",
        soft_wrap=True,
        markup=False,
    )


def _open_network_and_paintings(
    network: str, dataset_folder: Path, target: str | None, settings: Settings
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
    dataset, loaded_network = Dataset.open_any(dataset_folder), open_networks(settings).load(network)
    return output, loaded_network, dataset, label_paintings(loaded_network, dataset.paintings, dataset.artists)


def _save_figure(figure: "Figure", stem: Path, *, pictures: bool = False) -> list[Path]:
    """Save a figure as HTML and, if a browser draws it, as PNG. Returns the files. pictures: has previews."""
    from worker.training.plots import save_html, save_png

    files = [save_html(figure, stem.with_suffix(".html"), has_previews=pictures)]
    try:
        files.append(save_png(figure, stem.with_suffix(".png")))
    except ArtDreamError as error:
        print_message(str(error))
    return files


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


def _print_paths(paths: Sequence[Path]) -> None:
    for path in paths:
        console.print(str(path), soft_wrap=True, markup=False)
