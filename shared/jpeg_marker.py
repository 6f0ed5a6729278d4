"""The marker in every dream's file, so that no producer accepts a saved dream as a photo.

Decoder processes import this, and start often: it imports nothing that is large.
"""

import re

#: The comment of every dream, JPEG or MP4.
JPEG_MARKER = b"Dreamt by ArtDream"

#: The program's name in the XMP packet of a dream.
PROGRAM = "ArtDream"

#: How a packet names the program that made a picture, also after another program has written it again.
_CREATOR_TOOL = re.compile(rb"xmp:CreatorTool\s*(?:=\s*[\"']|>)\s*" + PROGRAM.encode() + b"[ <\"']")


def is_dream_packet(packet: object) -> bool:
    """Return whether an XMP packet, if there is one, says that ArtDream made the picture."""
    return isinstance(packet, bytes) and _CREATOR_TOOL.search(packet) is not None
