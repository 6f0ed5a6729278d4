"""The share of the machine's peak convolution rate that an ascent reaches, from counted operations."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from benchmarks.report import publish
from benchmarks.subjects import DREAM_LAYERS, load_photo, make_networks
from benchmarks.timing import measure_seconds
from worker.backend import compile_function
from worker.backend.precision import Precision
from worker.dreaming.gradient import ObjectiveGradient
from worker.dreaming.objectives import layer
from worker.dreaming.optimizers import GradientAscent
from worker.networks.network import Network, to_picture

#: Width and height of the pictures, in pixels.
PICTURE_SIZE = (640, 480)

#: Side of the picture, side of the kernel, channels in and out: the largest convolutions of VGG and Inception, so that
#: no other convolution here is much faster.
CONVOLUTIONS = ((56, 3, 256, 256), (112, 3, 128, 128), (224, 3, 64, 64), (28, 3, 512, 512), (56, 1, 512, 512))

#: Steps or convolutions that are timed as one.
CALLS_PER_TIMING = 4

_APPLICATIONS: dict[str, Callable[..., keras.Model]] = {
    "inception_v3": keras.applications.InceptionV3,
    "vgg19": keras.applications.VGG19,
}


def count_convolution_flops(network: str, width: int, height: int) -> int:
    """Count the floating-point operations of one step's convolutions, forward and for the gradient.

    Counted from the shapes of the Keras application up to the layers of the objective; a multiplication and an
    addition count as two. The gradient with respect to a convolution's input takes as many as the convolution.
    """
    model = _APPLICATIONS[network](weights=None, include_top=False, input_shape=(height, width, 3))
    truncated_model = keras.Model(model.input, [model.get_layer(name).output for name in DREAM_LAYERS[network]])
    forward = 0
    for model_layer in truncated_model.layers:
        if isinstance(model_layer, keras.layers.Conv2D):
            rows, columns = model_layer.output.shape[1:3]
            forward += 2 * int(np.prod(model_layer.kernel.shape)) * rows * columns
    return 2 * forward


def make_convolution_runs(precision: Precision, batch: int = 1) -> list[tuple[int, Callable[[], None]]]:
    """Return the operations of each convolution, and a function that runs it. The fastest one is the peak."""
    rng = np.random.default_rng(0)
    runs: list[tuple[int, Callable[[], None]]] = []
    for side, kernel_side, channels, out in CONVOLUTIONS:
        shape = (kernel_side, kernel_side, channels, out)
        kernel = ops.convert_to_numpy(ops.cast(rng.standard_normal(shape, np.float32), precision))
        inputs = ops.cast(rng.standard_normal((batch, side, side, channels), np.float32), precision)

        def convolve(inputs: Any, kernel: Any = kernel) -> Any:
            return ops.conv(inputs, ops.convert_to_tensor(kernel), padding="same")

        call = compile_function(convolve, input_specs=[((None, None, None, channels), precision)])

        def run(call: Callable[[Any], Any] = call, inputs: Any = inputs) -> None:
            for _ in range(CALLS_PER_TIMING):
                out = call(inputs)
            ops.convert_to_numpy(out[0, 0, 0])  # waits for the accelerator, which computes asynchronously

        runs.append((2 * batch * CALLS_PER_TIMING * int(np.prod(shape)) * side * side, run))
    return runs


def make_ascent_run(network: Network, pictures: NDArray[np.float32]) -> Callable[[], None]:
    """Return a function that runs CALLS_PER_TIMING steps of an ascent: jitter, gradient, normalization, and update."""
    first, *others = (layer(name) for name in DREAM_LAYERS[network.name])
    objective_gradient = ObjectiveGradient(network, sum(others, start=first), levels=3)
    optimizer, mask = GradientAscent(), np.ones((1, 1, 1, 1), np.float32)
    rng = np.random.default_rng(0)
    gradient_fn = objective_gradient.make_gradient_fn(ops.convert_to_tensor(pictures), mask, {}, {})

    def jittered_gradient_fn(parameters: Any) -> tuple[Any, Any]:
        return gradient_fn(parameters, rng.integers(-32, 32, (len(pictures), 2), dtype=np.int32))

    def run() -> None:
        last: list[Any] = []
        optimizer.ascend(
            (ops.convert_to_tensor(pictures),),
            jittered_gradient_fn,
            mask,
            [0.02] * CALLS_PER_TIMING,
            lambda x, _: last.__setitem__(slice(0), [x]),
        )
        ops.convert_to_numpy(last[0][0][0, 0, 0])

    return run


def measure_flops(
    folder: Path, precisions: Sequence[Precision], rounds: int, batch: int = 1
) -> dict[Precision, dict[str, float]]:
    """Return by precision the operations per second of the `peak` and of an ascent of each big network.

    They run in turns; the best round of each counts.
    """
    pictures = np.concatenate([to_picture(load_photo(*PICTURE_SIZE, number)) for number in range(batch)])
    results: dict[Precision, dict[str, float]] = {}
    operations = {
        name: batch * CALLS_PER_TIMING * count_convolution_flops(name, *PICTURE_SIZE) for name in _APPLICATIONS
    }
    for precision in precisions:
        networks = make_networks(folder, precision)
        runs = [("peak", *convolution) for convolution in make_convolution_runs(precision, batch)]
        runs += [(name, operations[name], make_ascent_run(networks.load(name), pictures)) for name in operations]
        for _, _, run in runs:
            run()
        speeds = dict.fromkeys(("peak", *operations), 0.0)
        for _ in range(rounds):
            for name, count, run in runs:
                speeds[name] = max(speeds[name], count / measure_seconds(run))
        results[precision] = speeds
    return results


def measure(folder: Path, *, rounds: int) -> None:
    """Measure and publish. folder: contains the weights. rounds: runs of each candidate, of which the best counts."""
    load = os.getloadavg()[0]
    flops = measure_flops(folder, ("float32", "bfloat16"), rounds)
    rows = [
        (name, precision, f"{speed / 1e9:.0f}", f"{speed / speeds['peak']:.0%}")
        for precision, speeds in flops.items()
        for name, speed in speeds.items()
    ]
    title = f"one step at {PICTURE_SIZE[0]} × {PICTURE_SIZE[1]}"
    publish("engine-peak", (title, "precision", "GFLOP/s", "of the peak"), rows, {"flops": flops, "load": load})
