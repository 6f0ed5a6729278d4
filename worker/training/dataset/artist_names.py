"""Artists' names: as they are shown, and as they are compared."""

import unicodedata


def format_artist_name(raw_name: str) -> str:
    """Return an artist's name as it is shown: underscores read as spaces, letters composed."""
    return " ".join(unicodedata.normalize("NFC", raw_name.replace("_", " ")).split())
