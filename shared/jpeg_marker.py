"""The signature: what every dream bears, so that no producer takes one that somebody saved for a photo."""

#: The comment of a dream's JPEG.
JPEG_MARKER = b"Dreamt by ArtDream"
