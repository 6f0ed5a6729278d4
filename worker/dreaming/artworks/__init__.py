"""The project's own artworks, to learn a style from: JPEGs that `tools.house_artworks` painted."""

from importlib.resources import files

from shared.errors import ArtDreamError, did_you_mean

#: The artist that these works stand under, beside those of the store.
HOUSE_ARTIST = "house"


def list_artworks() -> tuple[str, ...]:
    """The names of the works, sorted."""
    return tuple(
        sorted(work.name for work in files(__name__).joinpath(HOUSE_ARTIST).iterdir() if work.name.endswith(".jpg"))
    )


def read_artwork(name: str) -> bytes:
    """A work's JPEG: sRGB, 768 pixels on the long side. Raises ArtDreamError for an unknown name, naming near ones."""
    if name not in list_artworks():
        raise ArtDreamError(f"The house has no artwork “{name}”. {did_you_mean(name, list_artworks())}")
    return files(__name__).joinpath(HOUSE_ARTIST, name).read_bytes()
