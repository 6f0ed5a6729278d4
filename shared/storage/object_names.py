"""The names of objects in a store: what lies where."""

import re

#: Where dreams lie, each in a folder of its own, and the marks of those that were deleted.
DREAMS_PREFIX, TOMBSTONES_PREFIX = "dreams/", "tombstones/"

#: Bytes of the longest name that every kind of store takes.
MAX_NAME_BYTES = 1024

#: No control character, nor half of a pair (of a file name that is not Unicode).
_ALLOWED_CHARACTERS = re.compile("[^\x00-\x1f\x7f\ud800-\udfff]+")


def is_object_name(name: str) -> bool:
    """Tell whether a name stays inside its store: no step of it leads up, or nowhere, and any store can keep it."""
    return bool(
        _ALLOWED_CHARACTERS.fullmatch(name)
        and len(name.encode()) <= MAX_NAME_BYTES
        and not {"", ".", ".."} & set(name.split("/"))
    )


def photo_name(photo_id: str) -> str:
    """Return the object name of a photo."""
    return f"photos/{photo_id}.jpg"


def dream_name(job_id: str) -> str:
    """Return the object name of a finished dream."""
    return f"dreams/{job_id}/dream.jpg"


def thumb_name(job_id: str) -> str:
    """Return the object name of a small picture of a dream."""
    return f"dreams/{job_id}/thumb.jpg"


def sidecar_name(job_id: str) -> str:
    """Return the object name of what is known about a dream."""
    return f"dreams/{job_id}/dream.json"


def frame_name(job_id: str, index: int) -> str:
    """Return the object name of one intermediate picture, counted from 0."""
    return f"{frames_prefix(job_id)}{index:02d}.jpg"


def frames_prefix(job_id: str) -> str:
    """Return what the names of a dream's frames begin with."""
    return f"dreams/{job_id}/frames/"


def is_frame(name: str) -> bool:
    """Tell whether an object is an intermediate picture."""
    return name.startswith(DREAMS_PREFIX) and "/frames/" in name


def clip_name(job_id: str) -> str:
    """Return the object name of the video from the photo into the dream and back."""
    return f"dreams/{job_id}/clip.mp4"


def preview_name(job_id: str) -> str:
    """Return the object name of the same clip as a small animated picture."""
    return f"dreams/{job_id}/clip.webp"


def zoom_name(job_id: str) -> str:
    """Return the object name of the video into the dream without end."""
    return f"dreams/{job_id}/zoom.mp4"


#: Where the artworks lie that an installation owns.
REFERENCES_PREFIX = "references/"


def reference_name(artist: str, file: str) -> str:
    """Return the object name of an artwork."""
    return f"{REFERENCES_PREFIX}{artist}/{file}"


def tombstone_name(job_id: str) -> str:
    """Return the object name of what tells that a dream was deleted, and is not to be dreamt again."""
    return f"{TOMBSTONES_PREFIX}{job_id}"


def dream_prefix(job_id: str) -> str:
    """Return what the names of everything of a dream begin with, its photo apart."""
    return f"{DREAMS_PREFIX}{job_id}/"


#: The object name of what the operator decided, for a broker that has lost it.
RUNTIME_SETTINGS_NAME = "steering.json"

#: Where the networks lie that an installation trained.
NETWORKS_PREFIX = "networks/"


def art_map_name(network: str) -> str:
    """Return the object name of a network's art map."""
    return f"{NETWORKS_PREFIX}{network}/map.json"
