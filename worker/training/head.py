"""Train the classifier head first, on the features of the frozen backbone.

This takes seconds instead of hours, and pretrained weights are not spoiled by the gradients of a random head.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from worker.training.backbones import HEAD_LAYER
from worker.training.config import TrainingConfig
from worker.training.dataset import Painting
from worker.training.input_pipeline import compute_artist_weights, load_center_crops

#: Learning rate of the head, and feature vectors per step.
HEAD_LEARNING_RATE, HEAD_BATCH_SIZE = 2e-3, 64


def train_head(
    model: keras.Model,
    paintings: Sequence[Painting],
    artist_count: int,
    config: TrainingConfig,
    on_progress: Callable[[float], None],
) -> None:
    """Train the head of a model on the mean of its last feature map.

    on_progress: called with the share of pictures whose features are computed, 0 to 1. The features are kept in memory,
    5 kB per picture.
    """
    mean, head = model.get_layer("mean").output, model.get_layer(HEAD_LAYER)
    feature_model = keras.Model(model.input, mean)
    features = []
    for start in range(0, len(paintings), config.batch):
        pictures = load_center_crops(paintings[start : start + config.batch], config.side)
        features.append(np.asarray(feature_model.predict_on_batch(pictures)))
        on_progress(min(1.0, (start + config.batch) / len(paintings)))
    feature_input = keras.Input((mean.shape[-1],))
    head_model = keras.Model(feature_input, head(keras.layers.Dropout(config.dropout, seed=config.seed)(feature_input)))
    head_model.compile(
        keras.optimizers.AdamW(HEAD_LEARNING_RATE, weight_decay=config.weight_decay),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.smoothing),
    )
    labels = np.array([painting.artist for painting in paintings])
    x, y, sample_weights = (
        np.concatenate(features),
        np.eye(artist_count, dtype=np.float32)[labels],
        compute_artist_weights(paintings, artist_count)[labels],
    )
    for epoch in range(config.head_rounds):
        order = np.random.default_rng((config.seed, epoch)).permutation(len(x))
        head_model.fit(
            x[order], y[order], HEAD_BATCH_SIZE, sample_weight=sample_weights[order], shuffle=False, verbose=0
        )
