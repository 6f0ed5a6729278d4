"""The head learns first, from what the frozen backbone sees: seconds instead of hours, and nothing is unlearned."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from worker.training.backbones import HEAD_LAYER
from worker.training.config import TrainingConfig
from worker.training.dataset import Painting
from worker.training.input_pipeline import compute_artist_weights, load_center_crops

#: The rate at which it learns, and how many features make one step.
HEAD_LEARNING_RATE, HEAD_BATCH_SIZE = 2e-3, 64


def train_head(
    model: keras.Model,
    paintings: Sequence[Painting],
    artist_count: int,
    config: TrainingConfig,
    on_progress: Callable[[float], None],
) -> None:
    """Teach the head of a model what the mean of its last feature map tells of the artists.

    watch: is told the share of the pictures that were looked at. The features are kept in memory, 5 kB a picture.
    """
    mean, head = model.get_layer("mean").output, model.get_layer(HEAD_LAYER)
    eye = keras.Model(model.input, mean)
    features = []
    for start in range(0, len(paintings), config.batch):
        pictures = load_center_crops(paintings[start : start + config.batch], config.side)
        features.append(np.asarray(eye.predict_on_batch(pictures)))
        on_progress(min(1.0, (start + config.batch) / len(paintings)))
    picture = keras.Input((mean.shape[-1],))
    probe = keras.Model(picture, head(keras.layers.Dropout(config.dropout, seed=config.seed)(picture)))
    probe.compile(
        keras.optimizers.AdamW(HEAD_LEARNING_RATE, weight_decay=0.05),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.smoothing),
    )
    told = np.array([one.artist for one in paintings])
    x, y, counts = (
        np.concatenate(features),
        np.eye(artist_count, dtype=np.float32)[told],
        compute_artist_weights(paintings, artist_count)[told],
    )
    for epoch in range(config.head_rounds):
        order = np.random.default_rng((config.seed, epoch)).permutation(len(x))
        probe.fit(x[order], y[order], HEAD_BATCH_SIZE, sample_weight=counts[order], shuffle=False, verbose=0)
