"""The pictures of a dream in the store: the photo, the frames and the dream, decoded."""

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

from shared.errors import ArtDreamError
from shared.storage.object_names import frames_prefix, working_photo_name
from shared.storage.store import Store


class UnusablePicture(ArtDreamError):
    """A picture in the store is missing or damaged."""


class StoredDream(Protocol):
    """A dream in the store, as its sidecar describes it."""

    @property
    def job_id(self) -> str:
        """The job."""

    @property
    def photo_id(self) -> str:
        """The photo's id."""

    @property
    def photo(self) -> str:
        """The photo's object name."""

    @property
    def dream(self) -> str:
        """The dream's object name."""


class EveningDream(NamedTuple):
    """A dream of an evening, in few bytes: an evening has thousands. Evenings are sorted by time."""

    #: Epoch seconds.
    completed_at: float
    job_id: str
    photo_id: str
    #: Object names.
    photo: str
    dream: str
    #: Title of the recipe.
    title: str


def iter_dream_pictures(
    store: Store, dream: StoredDream, max_pictures: int, before_each: Callable[[], None] = lambda: None
) -> Iterator[Image.Image]:
    """Yield the photo, the available frames and the dream, in RGB, of their own sizes; at most `max_pictures` of them.

    Of more frames, an even selection is loaded. before_each: called before each picture. Raises UnusablePicture if the
    photo or the dream is missing, or a picture is damaged.
    """
    frames = [entry.name for entry in store.list_objects(frames_prefix(dream.job_id))]
    names = [dream.photo, *sorted(frames, key=lambda name: (len(name), name)), dream.dream]
    for index in np.linspace(0, len(names) - 1, min(max_pictures, len(names))).round().astype(int):
        before_each()
        yield load_picture(store, names[index]) if index else load_photo(store, dream)


def load_photo(store: Store, dream: StoredDream) -> Image.Image:
    """Load a dream's photo, or the working photo if the full one has not arrived yet."""
    return load_picture(store, dream.photo, working_photo_name(dream.photo_id))


def load_picture(store: Store, *names: str) -> Image.Image:
    """Load the first of these pictures that is in the store, in RGB.

    Raises UnusablePicture if none is there, or it is damaged.
    """
    name, data = read_first_object(store, *names)
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return image.convert("RGB")
    except OSError as error:
        raise UnusablePicture(f"The picture {name} in the store is damaged.") from error


def read_first_object(store: Store, *names: str) -> tuple[str, bytes]:
    """Return the name and the content of the first of these objects that is in the store.

    Raises UnusablePicture if none is.
    """
    for name in names:
        if (data := store.get(name)) is not None:
            return name, data
    raise UnusablePicture(f"{names[0]} is not in the store.")
