"""DeepDream as TensorFlow's tutorial describes it, reimplemented from the description.

https://www.tensorflow.org/tutorials/generative/deepdream. The picture is resized from octave to octave; in each, it is
rolled at random, the mean activations of some layers of an unchanged Keras network are added up, and the picture moves
along their gradient ÷ its standard deviation. The tutorial's tiles of 512 pixels, which compute less at the border and
more in between, are left out: every step processes the whole picture.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


class TutorialDeepDream:
    """The tutorial's gradient ascent."""

    #: The tutorial's step length and largest roll in pixels.
    STEP_SIZE, MAX_ROLL = 0.01, 512

    def __init__(self, network: keras.Model, layers: Sequence[str]) -> None:
        """Take the layers of the objective from a Keras application, whose input is in [-1, 1]."""
        self._model = keras.Model(network.input, [network.get_layer(name).output for name in layers])
        self._compiled_gradient = tf.function(
            self._compute_gradient,
            input_signature=[tf.TensorSpec([None, None, 3], tf.float32), tf.TensorSpec([2], tf.int32)],
        )

    def activations(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the activations of the layers for a picture, (1, height, width, 3) in [-1, 1]."""
        return [np.asarray(activation) for activation in self._model(picture)]

    def dream(self, photo: NDArray[np.uint8], sizes: Sequence[tuple[int, int]], steps: int) -> NDArray[np.uint8]:
        """Render the dream of a photo, (height, width, 3) uint8, through octaves of these sizes (height, width)."""
        picture = tf.cast(photo, tf.float32) / 127.5 - 1
        for size in sizes:
            picture = tf.image.resize(picture, size)
            for _ in range(steps):
                shift = tf.random.uniform([2], -self.MAX_ROLL, self.MAX_ROLL, tf.int32)
                picture = tf.clip_by_value(picture + self.STEP_SIZE * self._compiled_gradient(picture, shift), -1, 1)
        return np.asarray(tf.cast(255 * (picture + 1) / 2, tf.uint8))

    def _compute_gradient(self, picture: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
        rolled = tf.roll(picture, shift, [0, 1])
        with tf.GradientTape() as tape:
            tape.watch(rolled)
            loss = tf.add_n([tf.reduce_mean(activation) for activation in self._model(rolled[None])])
        gradient = tf.roll(tape.gradient(loss, rolled), -shift, [0, 1])
        return gradient / (tf.math.reduce_std(gradient) + 1e-8)
