"""Content of a sheet: read pictures, appearance and link of a dream from the store."""

import io

from PIL import Image, UnidentifiedImageError

from display.pages.share_links import KEY_FILE, ShareLinks
from display.printing.sheet import SheetContent
from shared.appearance import Appearance
from shared.errors import ArtDreamError
from shared.settings import Settings
from shared.storage.logo import load_logo
from shared.storage.object_names import working_photo_name
from shared.storage.sidecar import Sidecar
from shared.storage.store import Store

#: Title and accent of an event that has none of its own; the accent is for white paper.
DEFAULT_TITLE, DEFAULT_ACCENT = "ArtDream", "#b8924a"


class UnprintableDream(ArtDreamError):
    """The dream is not in the store, or not as a picture."""


def load_content(settings: Settings, store: Store, sidecar: Sidecar, appearance: Appearance) -> SheetContent:
    """Return what is on the sheet of a dream; without the photo or the logo if that is missing or damaged.

    Dream and photo have the largest size that the store has. Raises UnprintableDream, and StoreError.
    """
    dream = _read_picture(store, sidecar.dream)
    if dream is None:
        raise UnprintableDream("Its picture is not in the store, or it is damaged.")
    return SheetContent(
        dream=dream,
        photo=_read_picture(store, sidecar.photo) or _read_picture(store, working_photo_name(sidecar.photo_id)),
        title=appearance.title or DEFAULT_TITLE,
        subtitle=appearance.subtitle,
        logo=load_logo(store, appearance.logo),
        accent=appearance.accent or DEFAULT_ACCENT,
        link=make_link(settings, sidecar.job_id),
    )


def make_link(settings: Settings, job_id: str) -> str | None:
    """Return the address of a dream's share page; None if phones cannot reach it, or this machine cannot sign it.

    A link is good only if the display accepts its signature: both need the same secret, or the same data folder.
    """
    if settings.links_secret is None and not (settings.data / KEY_FILE).exists():
        return None
    return ShareLinks(settings).make_url(job_id)


def _read_picture(store: Store, name: str) -> Image.Image | None:
    """Return a photo or dream; None if it is missing or damaged. Only JPEG is decoded, whatever is in the store."""
    data = store.get(name)
    if data is None:
        return None
    try:
        picture = Image.open(io.BytesIO(data), formats=["JPEG"])
        picture.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return picture
