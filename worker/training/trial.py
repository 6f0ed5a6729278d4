"""Rate works by trying them: a dream in the manner of each is shown to a network that was not used to dream it.

What a work is like in numbers does not tell how well a photo takes on its style. Of dreams in the manner of works that
were chosen so, another network, asked afterwards, took more for the artist's (docs/training.md).
"""

from collections.abc import Callable

import numpy as np

from shared.recipe.recipe import build_painter_recipe
from worker.dreaming.engine import Engine
from worker.dreaming.reference_images import ReferenceImages
from worker.networks import Networks
from worker.networks.style_statistics import Floats, StyleStatistics

#: Pixels: long side of the dreams.
TRIAL_CANVAS = 256

#: Smallest probability that is told from 0: a single dream that fails does not outweigh all others.
MIN_PROBABILITY = 1e-4


class Trial:
    """Rates works of a network's artists."""

    def __init__(self, networks: Networks, network_name: str, judge_name: str) -> None:
        """Load both networks. Raises ArtDreamError if one cannot be loaded, or the judge does not know an artist.

        networks: of this trial alone, which replaces style statistics. judge_name: best no relative of the network.
        """
        self._networks, self._network = networks, networks.load(network_name)
        self._judge = networks.load(judge_name)
        self._channels = [self._judge.class_index(artist) for artist in self._network.classes]

    def rate(self, statistics: StyleStatistics, on_progress: Callable[[float], None] = lambda _: None) -> Floats:
        """Return how sure the judge is of the artist of dreams in the manner of each work.

        The result is (works,), the mean log-probability. on_progress: called with the completed share, 0 to 1.
        """
        from sklearn.datasets import load_sample_images

        photos = load_sample_images().images  # a temple below a blue sky, and a flower
        engine, ratings = Engine(self._networks, ReferenceImages()), np.zeros(len(statistics.artist), np.float32)
        for work, artist in enumerate(statistics.artist.tolist()):
            self._networks.replace_style_statistics(self._network.name, statistics.take([work]))
            recipe = build_painter_recipe(self._network.classes[artist], self._network.name)
            trial_recipe = recipe.model_copy(update={"canvas": TRIAL_CANVAS, "size": None})
            dreams = engine.dream_batch(photos, trial_recipe, seeds=[0] * len(photos))
            prediction = self._judge.predict([dream.pixels for dream in dreams])
            probabilities = prediction.probabilities[:, self._channels[artist]]
            ratings[work] = np.log(np.maximum(probabilities, MIN_PROBABILITY)).mean()
            on_progress((work + 1) / len(ratings))
        return ratings
