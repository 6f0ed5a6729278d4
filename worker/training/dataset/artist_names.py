"""The normal form of artists' names, in which they are shown and compared."""

import unicodedata


def format_artist_name(raw_name: str) -> str:
    """Return the normal form of an artist's name: underscores read as spaces, letters composed."""
    return " ".join(unicodedata.normalize("NFC", raw_name.replace("_", " ")).split())
