"""The bundled artworks, as references for styles: JPEGs made by `tools.house_artworks`."""

from importlib.resources import files

from shared.errors import ArtDreamError, did_you_mean

#: Artist name of the bundled artworks, next to the artists of the store.
HOUSE_ARTIST = "house"


def list_artworks() -> tuple[str, ...]:
    """Return the file names of the bundled artworks, sorted."""
    return tuple(
        sorted(entry.name for entry in files(__name__).joinpath(HOUSE_ARTIST).iterdir() if entry.name.endswith(".jpg"))
    )


def read_artwork(name: str) -> bytes:
    """Return the JPEG of a bundled artwork: sRGB, with a long side of 768 pixels.

    Raises ArtDreamError for an unknown name, with similar names.
    """
    if name not in list_artworks():
        raise ArtDreamError(f"The house has no artwork “{name}”. {did_you_mean(name, list_artworks())}")
    return files(__name__).joinpath(HOUSE_ARTIST, name).read_bytes()
