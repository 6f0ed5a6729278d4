"""A guest's video as a dream: its pictures are dreamt one after the other, each beginning with the dream before it.

Dreamt on its own, each picture would get a dream of its own, and the video would flicker. M. Ruder, A. Dosovitskiy and
T. Brox, “Artistic Style Transfer for Videos” (2016), begin each picture with the last result, moved along the optical
flow; here only the change of the photo is moved, so that what the guest filmed stays as sharp as it is.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import Canvas
from shared.recipe.recipe import Recipe
from worker.clips.animations import fit_video_size, smootherstep
from worker.clips.guest_video import VIDEO_RATE, GuestVideo, KeptPictures
from worker.clips.optical_flow import FlowEstimator
from worker.dreamer import Dreamer

#: Long side in pixels at which videos are dreamt, if the recipe's canvas is no smaller.
MAX_LONG_SIDE = 640

#: By optimizer of the recipe: the share of the change that a picture takes over from the one before, the share of the
#: steps that renew it, and their length relative to the recipe's. Plain ascent never ends, and adds as much as is taken
#: away; Adam, which starts over with each picture, only follows what has changed.
CARRIED_SHARE = {"gradient": 0.9, "adam": 1.0}
STEP_SHARE = {"gradient": 0.13, "adam": 0.08}
STEP_LENGTH = {"gradient": 1.0, "adam": 0.2}

#: Share of a picture that may be new since its last whole dream: what was hidden or outside, and where the flow is
#: lost. Until then the dream stays there as it was; then the picture is dreamt as a photo is, and the new parts show
#: that.
MAX_UNDREAMT_SHARE = 0.1

#: Pictures between two that are dreamt as photos are, which takes seven times as long, unless so much is new that it
#: is another scene.
WHOLE_INTERVAL, NEW_SCENE_SHARE = 3, 0.4

#: Seconds in which the video becomes its dream, and in which it returns.
FADE_SECONDS = 1.0

#: Pictures of the shortest video whose loop shows its dream in full. A shorter loop that faded faster would flash.
MIN_PICTURES = round(FADE_SECONDS * VIDEO_RATE) + 1


def choose_video_recipe(recipe: Recipe) -> Recipe | None:
    """Return the recipe at the size at which its videos are dreamt; None if its dreams do not begin with a picture."""
    if recipe.start == "noise" or recipe.parameterisation not in ("pixels", "pyramid"):
        return None
    return recipe.model_copy(update={"canvas": min(recipe.canvas, MAX_LONG_SIDE), "size": None})


def dream_video(
    dreamer: Dreamer,
    video: GuestVideo,
    recipe: Recipe,
    *,
    seed: int,
    on_step: Callable[[], None] = lambda: None,
    on_picture: Callable[[], None] = lambda: None,
) -> KeptPictures:
    """Dream the pictures of a video, from the photo among them on to both ends.

    The photo is dreamt as ever, so the video looks like the dream on the wall. recipe: that of `choose_video_recipe`.
    on_step, on_picture: called after each step of an ascent, and after each picture; an exception from them ends the
    dream. Raises ArtDreamError if a picture cannot be dreamt.
    """
    follow_up = _make_follow_up(recipe)
    carried_share = CARRIED_SHARE[recipe.ascent.optimiser]
    flow_estimator = FlowEstimator()
    pictures, key_number = video
    dreams = KeptPictures()
    dreams[key_number], key_change = dreamer.dream_next(pictures[key_number], recipe, seed=seed, on_step=on_step)
    on_picture()
    for numbers in (range(key_number + 1, len(pictures)), range(key_number - 1, -1, -1)):
        previous, change = pictures[key_number], key_change
        dreamt, last_whole = np.ones((*previous.shape[:2], 1), np.float32), key_number
        for number in numbers:
            picture = pictures[number]
            motion = flow_estimator.estimate(picture, previous)
            change, dreamt = carried_share * motion.warp(change), motion.carry(dreamt)
            may_be_whole = abs(number - last_whole) >= WHOLE_INTERVAL
            if 1 - dreamt.mean() > (MAX_UNDREAMT_SHARE if may_be_whole else NEW_SCENE_SHARE):
                _, whole_change = dreamer.dream_next(picture, recipe, seed=seed, on_step=on_step)
                change = dreamt * change + (1 - dreamt) * whole_change
                dreamt, last_whole = np.ones_like(dreamt), number
            dreams[number], change = dreamer.dream_next(picture, follow_up, seed=seed, change=change, on_step=on_step)
            previous = picture
            on_picture()
    return dreams


def _make_follow_up(recipe: Recipe) -> Recipe:
    """Return the recipe for pictures that begin with the dream before them."""
    ascent, optimizer = recipe.ascent, recipe.ascent.optimiser
    steps = min(ascent.steps, max(1, round(STEP_SHARE[optimizer] * ascent.steps)))
    step = STEP_LENGTH[optimizer] * ascent.step
    return recipe.model_copy(update={"ascent": ascent.model_copy(update={"steps": steps, "step": step})})


class DreamtVideo:
    """A loop in which a video becomes its dream, plays to its end and back, and becomes the video again.

    pictures, dreams: the pictures of a video and their dreams, at least one; with fewer than MIN_PICTURES the dream is
    never shown in full. stride: of so many pictures one is shown. long_side: limit of the loop's long side in pixels.
    """

    def __init__(self, pictures: KeptPictures, dreams: KeptPictures, *, stride: int = 1, long_side: int = 1080) -> None:
        height, width, _ = dreams[0].shape
        self.size: Canvas = fit_video_size(height, width, long_side)
        self.rate = VIDEO_RATE // stride
        self._pictures, self._dreams = pictures, dreams
        forth = range(0, len(dreams), stride)
        self._numbers = [*forth, *reversed(forth[1:-1])]

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the loop's pictures, (height, width, 3)."""
        for position, number in enumerate(self._numbers):
            share = smootherstep(min(position, len(self) - position) / self.rate / FADE_SECONDS)
            picture = Image.fromarray(self._dreams[number])
            if share < 1:
                picture = Image.blend(Image.fromarray(self._pictures[number]), picture, share)
            yield np.asarray(picture.resize(self.size, Image.Resampling.LANCZOS))
