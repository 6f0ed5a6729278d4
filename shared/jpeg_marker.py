"""The signature: what every dream bears, so that no producer takes one that somebody saved for a photo."""

#: The comment of a dream's JPEG.
SIGNATURE = b"Dreamt by ArtDream"
