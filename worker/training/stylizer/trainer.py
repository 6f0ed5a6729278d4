"""Train a stylizer on the objectives of painters' recipes, and resume after a kill."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from shared.errors import ArtDreamError
from shared.recipe.objective import Content, Palette, Style, Term
from shared.recipe.recipe import build_painter_recipe
from shared.stylizer import PICTURE, STYLE
from worker.backend import Tensor
from worker.dreaming.color_transfer import compute_stretch, estimate_moments
from worker.dreaming.objectives import PHOTO_SOURCE, ObjectiveInputs, build_objective, build_runtime_inputs
from worker.dreaming.style_measures import to_lab
from worker.networks.network import Network
from worker.networks.style_statistics import StyleStatistics
from worker.training.input_pipeline import Floats, load_ahead
from worker.training.stylizer.checkpoints import StylizerCheckpoints
from worker.training.stylizer.config import StylizerConfig
from worker.training.stylizer.network import build_stylizer
from worker.training.stylizer.pictures import compute_digest, load_batch

#: Steps after which the state is saved, and the mean loss reported.
DEFAULT_SAVE_INTERVAL = 250

#: Share of the steps in which the learning rate rises, and its last value as a share of its peak.
WARMUP_SHARE, FINAL_RATE_SHARE = 1 / 20, 0.02

#: Largest norm of all gradients of a step: without normalization, a single unusual picture would undo many steps.
MAX_GRADIENT_NORM = 1.0

#: Pixels: side of the squares whose mean colours are compared with those of the toned picture: strokes are free within.
TONE_SQUARE = 4

#: Batches from whose colours the tones are computed.
TONE_SAMPLES = 32

#: Momentum of the moving average of the weights, which paints better than their last values.
AVERAGE_MOMENTUM = 0.995


class StylizerProgress(NamedTuple):
    """How far a training is."""

    step: int
    #: Mean loss since the state was last saved; None until it is saved again.
    mean_loss: float | None


def train_stylizer(
    judge: Network,
    statistics: StyleStatistics,
    pictures: Sequence[Path],
    config: StylizerConfig,
    folder: Path,
    on_progress: Callable[[StylizerProgress], None] = lambda _: None,
    *,
    save_interval: int = DEFAULT_SAVE_INTERVAL,
) -> keras.Model:
    """Train a stylizer, and return it.

    judge, statistics: the network that the configuration names, and its style statistics. folder: the state is saved
    there every save_interval steps; a call with the same arguments resumes from it. Raises ArtDreamError if the judge
    does not know a painter, a picture is damaged, the folder holds another training, or the loss is no longer finite.
    """
    checkpoints = StylizerCheckpoints(folder, config, compute_digest(pictures))
    keras.utils.set_random_seed(config.seed)
    stylizer = build_stylizer(len(config.painters))
    model = StylizerTraining(stylizer, _make_loss_fn(judge, statistics, pictures, config))
    model.compile(_build_optimizer(config), jit_compile=keras.backend.backend() == "jax")
    model.build({PICTURE: (None, config.side, config.side, 3), STYLE: (None, len(config.painters))})
    model.optimizer.build(model.trainable_variables)
    step, losses = checkpoints.restore(model), []
    for batch in load_ahead(partial(load_batch, pictures, config), range(step, config.steps)):
        inputs = {PICTURE: batch.noisy_pictures, STYLE: batch.styles}
        # Keras reports the mean since the metrics were reset.
        model.reset_metrics()
        losses.append(float(model.train_on_batch(inputs, batch.pictures, return_dict=True)["loss"]))
        step += 1
        mean_loss = None
        if step % save_interval == 0 or step == config.steps:
            mean_loss = float(np.mean(losses))
            if not np.isfinite(mean_loss):
                raise ArtDreamError(f"The training diverged before step {step}: its loss is not finite. Lower --rate.")
            checkpoints.save(model, step)
            losses.clear()
        on_progress(StylizerProgress(step, mean_loss))
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return stylizer


def _build_optimizer(config: StylizerConfig) -> keras.optimizers.Optimizer:
    warmup_steps = max(1, round(config.steps * WARMUP_SHARE))
    schedule = keras.optimizers.schedules.CosineDecay(
        config.rate / 20,
        max(1, config.steps - warmup_steps),
        alpha=FINAL_RATE_SHARE,
        warmup_target=config.rate,
        warmup_steps=warmup_steps,
    )
    return keras.optimizers.Adam(
        schedule, global_clipnorm=MAX_GRADIENT_NORM, use_ema=True, ema_momentum=AVERAGE_MOMENTUM
    )


def _make_loss_fn(
    judge: Network, statistics: StyleStatistics, pictures: Sequence[Path], config: StylizerConfig
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the loss of paintings, given their pictures and styles.

    It is how far the colours are from those of the toned picture, minus the objective of the painters' recipes.
    """
    works = [_choose_work(statistics, judge.class_index(painter)) for painter in config.painters]
    statistics = statistics.take(works)
    terms_by_painter = [_list_terms(painter, judge, config) for painter in config.painters]
    objective = build_objective(terms_by_painter[0], judge)
    runtime_inputs = [build_runtime_inputs(terms, judge, statistics, seeds=[0]) for terms in terms_by_painter]
    # Target key → the values of all styles, (styles, …).
    style_values = {key: np.concatenate([inputs[key] for inputs in runtime_inputs]) for key in runtime_inputs[0]}
    photo_targets = [target for target in objective.targets if target.source == PHOTO_SOURCE]
    features = judge.feature_extractor(objective.layers)
    photo_features = judge.feature_extractor(tuple(dict.fromkeys(target.layer for target in photo_targets)))
    stretches, offsets = _compute_tones(statistics.palettes, pictures, config)

    def compute_loss(pictures: Tensor, styles: Tensor, paintings: Tensor) -> Tensor:
        indexes = ops.argmax(styles, axis=-1)
        target_values = {key: ops.take(values, indexes, axis=0) for key, values in style_values.items()}
        activations = photo_features(pictures)
        target_values |= {target.key: target.compute(activations[target.layer]) for target in photo_targets}
        score = ops.mean(objective.score(ObjectiveInputs(paintings, features(paintings), target_values)))
        colors, painted_colors = (
            to_lab(ops.average_pool(batch, TONE_SQUARE, TONE_SQUARE)) for batch in (pictures, paintings)
        )
        toned = ops.einsum("bhwc,bcd->bhwd", colors, ops.take(stretches, indexes, axis=0))
        toned = toned + ops.take(offsets, indexes, axis=0)[:, None, None]
        return config.tone_weight * ops.mean(ops.square(painted_colors - toned)) - score

    return compute_loss


def _choose_work(statistics: StyleStatistics, artist: int) -> int:
    """Return the index of the work that is a painter's style: the one of most contrast and colour.

    The mean of several is the style of none. artist: channel of the class map. Raises ArtDreamError if there is none.
    """
    works = statistics.list_works(artist)
    spreads = statistics.palettes[works, :3].std(axis=2).sum(axis=1)  # along the axes of Lab
    return works[int(spreads.argmax())]


def _list_terms(painter: str, judge: Network, config: StylizerConfig) -> list[Term]:
    """Return the terms of a painter's recipe, weighted as configured."""
    weights = {Content: config.content_weight, Style: config.style_weight, Palette: config.palette_weight}
    return [
        term.model_copy(update={"weight": term.weight * weights.get(type(term), 1.0)})
        for term in build_painter_recipe(painter, judge.name).objective
    ]


def _compute_tones(palettes: Floats, pictures: Sequence[Path], config: StylizerConfig) -> tuple[Floats, Floats]:
    """Return how pictures are toned in each style: Lab ÷ 100 · stretch + offset; (styles, 3, 3) and (styles, 3).

    All pictures are toned alike, by the colours that they have together, because the network sees none as a whole.
    palettes: (styles, directions, quantiles).
    """
    samples = [load_batch(pictures, config, step).pictures for step in range(TONE_SAMPLES)]
    colors = np.asarray(to_lab(np.concatenate(samples))).reshape(-1, 3).astype(np.float64)
    mean, covariance = colors.mean(axis=0), np.cov(colors.T)
    stretches, offsets = [], []
    for palette in palettes:
        target_mean, target_covariance = estimate_moments(palette)
        stretch = compute_stretch(covariance, target_covariance)
        stretches.append(stretch)
        offsets.append(target_mean - mean @ stretch)
    return np.asarray(stretches, np.float32), np.asarray(offsets, np.float32)


class StylizerTraining(keras.Model):  # type: ignore[misc]
    """A stylizer with its loss. What the loss is computed with is not a part of it, and is not saved."""

    def __init__(self, stylizer: keras.Model, loss_fn: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.stylizer = stylizer
        self._loss_fn = loss_fn

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the paintings of a batch. inputs: those of the stylizer."""
        return self.stylizer(inputs)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Tensor:
        """Return the mean loss of a batch. x: the stylizer's inputs. y: pictures without noise. y_pred: paintings."""
        return self._loss_fn(y, x[STYLE], y_pred)
