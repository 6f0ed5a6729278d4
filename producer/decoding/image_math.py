"""Arithmetic of single-channel pictures, per pixel, by Pillow's ImageMath."""

from collections.abc import Callable
from typing import Any

from PIL import Image, ImageMath

#: An operand of Pillow's ImageMath, which has no more precise type.
Operand = Any


def evaluate(formula: Callable[..., Operand], *channels: Image.Image) -> Image.Image:
    """Evaluate a formula, with one operand per channel."""
    named = {f"c{number}": channel for number, channel in enumerate(channels)}
    result: Image.Image = ImageMath.lambda_eval(lambda names: formula(*(names[name] for name in named)), **named)
    return result


def maximum(channel: Image.Image, other: Image.Image | float) -> Image.Image:
    """Return the larger value of each pixel, and `other` where the channel is no number."""
    result: Image.Image = ImageMath.lambda_eval(
        lambda names: names["max"](names["channel"], names["other"]), channel=channel, other=other
    )
    return result


def find_brightest(channel: Image.Image) -> float:
    """Return the largest value of a channel of mode F."""
    brightest = channel.getextrema()[1]
    assert isinstance(brightest, float)  # noqa: S101
    return brightest
