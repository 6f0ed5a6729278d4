"""The names of objects in a store."""

import re

#: Folders of the dreams, each in a folder of its own, and of the tombstones of deleted dreams.
DREAMS_PREFIX, TOMBSTONES_PREFIX = "dreams/", "tombstones/"

#: Bytes of the longest name that every backend accepts.
MAX_NAME_BYTES = 1024

#: No control characters, and no lone surrogates (from a file name that is not valid Unicode).
_ALLOWED_CHARACTERS = re.compile("[^\x00-\x1f\x7f\ud800-\udfff]+")


def is_object_name(name: str) -> bool:
    """Return whether a name is valid in every backend: no empty, "." or ".." segment, no control character."""
    return bool(
        _ALLOWED_CHARACTERS.fullmatch(name)
        and len(name.encode()) <= MAX_NAME_BYTES
        and not {"", ".", ".."} & set(name.split("/"))
    )


def photo_name(photo_id: str) -> str:
    """Return the object name of a photo."""
    return f"photos/{photo_id}.jpg"


def working_photo_name(photo_id: str) -> str:
    """Return the object name of a photo at the size at which it is dreamt, which arrives before the photo itself."""
    return f"photos/{photo_id}.working.jpg"


def motion_name(photo_id: str) -> str:
    """Return the object name of the video that a photo was taken from, if it was."""
    return f"photos/{photo_id}.mp4"


def dream_name(job_id: str) -> str:
    """Return the object name of a finished dream."""
    return f"dreams/{job_id}/dream.jpg"


def thumb_name(job_id: str) -> str:
    """Return the object name of a dream's thumbnail."""
    return f"dreams/{job_id}/thumb.jpg"


def sidecar_name(job_id: str) -> str:
    """Return the object name of a dream's sidecar."""
    return f"dreams/{job_id}/dream.json"


def frame_name(job_id: str, index: int) -> str:
    """Return the object name of one frame of a dream. index: from 0."""
    return f"{frames_prefix(job_id)}{index:02d}.jpg"


def frames_prefix(job_id: str) -> str:
    """Return the prefix of the object names of a dream's frames."""
    return f"dreams/{job_id}/frames/"


def is_frame(name: str) -> bool:
    """Return whether an object is a frame of a dream."""
    return name.startswith(DREAMS_PREFIX) and "/frames/" in name


def clip_name(job_id: str) -> str:
    """Return the object name of the clip, a video from the photo to the dream and back."""
    return f"dreams/{job_id}/clip.mp4"


def preview_name(job_id: str) -> str:
    """Return the object name of the clip as a small animated WebP."""
    return f"dreams/{job_id}/clip.webp"


def zoom_name(job_id: str) -> str:
    """Return the object name of the endless zoom video into the dream."""
    return f"dreams/{job_id}/zoom.mp4"


def print_name(job_id: str, requester: str, number: int) -> str:
    """Return the object name of the record of one print of a dream."""
    return f"{DREAMS_PREFIX}{job_id}/prints/{requester}-{number}.json"


def gif_name(job_id: str) -> str:
    """Return the object name of the clip as a GIF, which is made if a guest asks for it."""
    return f"dreams/{job_id}/clip.gif"


def square_name(job_id: str) -> str:
    """Return the object name of the clip in a square, which is made if a guest asks for it."""
    return f"dreams/{job_id}/square.mp4"


#: Folder of the marks of jobs whose videos are still to be dreamt.
VIDEO_MARKS_PREFIX = "videos/"


def video_mark_name(job_id: str) -> str:
    """Return the object name of the mark of a job whose video is still to be dreamt."""
    return f"{VIDEO_MARKS_PREFIX}{job_id}"


#: Folder of the installation's reference images, by artist.
REFERENCES_PREFIX = "references/"


def reference_name(artist: str, file: str) -> str:
    """Return the object name of a reference image. file: its file name with extension."""
    return f"{REFERENCES_PREFIX}{artist}/{file}"


def tombstone_name(job_id: str) -> str:
    """Return the object name of a deleted dream's tombstone."""
    return f"{TOMBSTONES_PREFIX}{job_id}"


def dream_prefix(job_id: str) -> str:
    """Return the prefix of the object names of everything of a dream except its photo."""
    return f"{DREAMS_PREFIX}{job_id}/"


#: Object name of an event's logo.
LOGO_NAME = re.compile("logos/[0-9a-f]{64}\\.png", re.ASCII)


def logo_name(sha256: str) -> str:
    """Return the object name of a logo. sha256: of its PNG file, in hex, so that content never changes under a name."""
    return f"logos/{sha256}.png"


#: Object name of the random id of the installation, which tells its sheets from those of others on a print server.
INSTALLATION_ID_NAME = "installation.json"

#: Object name of the persisted runtime settings, from which a wiped broker is restored.
RUNTIME_SETTINGS_NAME = "steering.json"

#: Folder of the usage counts.
USAGE_COUNTS_PREFIX = "counts/"


def usage_counts_name(day: str) -> str:
    """Return the object name of the usage counts of a day. day: in UTC, as `2026-11-29`."""
    return f"{USAGE_COUNTS_PREFIX}{day}.json"


#: Folder of the keys of the HTTP API.
API_KEYS_PREFIX = "api-keys/"


def api_key_name(key_id: str) -> str:
    """Return the object name of a key of the HTTP API, from which a wiped broker is restored."""
    return f"{API_KEYS_PREFIX}{key_id}.json"


#: Folder of the webhook endpoints.
WEBHOOKS_PREFIX = "webhooks/"


def webhook_name(endpoint_id: str) -> str:
    """Return the object name of a webhook endpoint, from which a wiped broker is restored."""
    return f"{WEBHOOKS_PREFIX}{endpoint_id}.json"


def webhook_mark_name(job_id: str, endpoint_id: str) -> str:
    """Return the object name of the mark that an endpoint needs no more messages of a dream."""
    return f"{DREAMS_PREFIX}{job_id}/webhooks/{endpoint_id}.json"


#: Folder of the networks trained by the installation.
NETWORKS_PREFIX = "networks/"


def art_map_name(network: str) -> str:
    """Return the object name of a network's art map."""
    return f"{NETWORKS_PREFIX}{network}/map.json"
