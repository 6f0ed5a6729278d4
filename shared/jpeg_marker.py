"""The marker in every dream's JPEG, so that no producer accepts a saved dream as a photo."""

#: The JPEG comment of every dream.
JPEG_MARKER = b"Dreamt by ArtDream"
