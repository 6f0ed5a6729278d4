"""Artists' names: as they are shown, and as they are compared."""

import unicodedata


def plain_name(written: str) -> str:
    """Return an artist's name as it is shown: underscores read as spaces, letters composed."""
    return " ".join(unicodedata.normalize("NFC", written.replace("_", " ")).split())
