"""The head learns first, from what the frozen backbone sees: seconds instead of hours, and nothing is unlearned."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from worker.training.backbones import HEAD
from worker.training.config import Plan
from worker.training.dataset import Painting
from worker.training.input_pipeline import weights, whole

#: The rate at which it learns, and how many features make one step.
RATE, BATCH = 2e-3, 64


def train_head(
    model: keras.Model, paintings: Sequence[Painting], artists: int, plan: Plan, watch: Callable[[float], None]
) -> None:
    """Teach the head of a model what the mean of its last feature map tells of the artists.

    watch: is told the share of the pictures that were looked at. The features are kept in memory, 5 kB a picture.
    """
    mean, head = model.get_layer("mean").output, model.get_layer(HEAD)
    eye = keras.Model(model.input, mean)
    features = []
    for start in range(0, len(paintings), plan.batch):
        pictures = whole(paintings[start : start + plan.batch], plan.side)
        features.append(np.asarray(eye.predict_on_batch(pictures)))
        watch(min(1.0, (start + plan.batch) / len(paintings)))
    picture = keras.Input((mean.shape[-1],))
    probe = keras.Model(picture, head(keras.layers.Dropout(plan.dropout, seed=plan.seed)(picture)))
    probe.compile(
        keras.optimizers.AdamW(RATE, weight_decay=0.05),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=plan.smoothing),
    )
    told = np.array([one.artist for one in paintings])
    x, y, counts = np.concatenate(features), np.eye(artists, dtype=np.float32)[told], weights(paintings, artists)[told]
    for epoch in range(plan.head_rounds):
        order = np.random.default_rng((plan.seed, epoch)).permutation(len(x))
        probe.fit(x[order], y[order], BATCH, sample_weight=counts[order], shuffle=False, verbose=0)
