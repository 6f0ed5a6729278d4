"""The marker in every dream's JPEG and clip, so that no producer accepts a saved dream as a photo."""

#: The comment of every dream, JPEG or MP4.
JPEG_MARKER = b"Dreamt by ArtDream"
