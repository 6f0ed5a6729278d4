"""Write a statement into a file, and read the one of a file."""

import logging

from shared.errors import ArtDreamError
from shared.provenance.containers import Content, detect_container, read_packet, write_packet
from shared.provenance.signing import SIGNED_CONTAINERS, ManifestSigner
from shared.provenance.statement import Statement, parse_packet

logger = logging.getLogger(__name__)


def embed(data: bytes, statement: Statement, signer: ManifestSigner | None = None) -> bytes:
    """Return a picture or video with a statement in it.

    signer: signs a JPEG or MP4, too. If it cannot, that is logged: no dream is lost for its signature.
    """
    stated = write_packet(data, statement.to_packet())
    if signer is None or detect_container(data) not in SIGNED_CONTAINERS:
        return stated
    try:
        return signer.sign(stated, statement)
    except ArtDreamError as error:
        logger.warning("%s", error)
        return stated


def read_statement(data: Content) -> Statement | None:
    """Return what a file says about how it came about; None if nothing. Raises DamagedFile if it is cut short."""
    packet = read_packet(data)
    return None if packet is None else parse_packet(packet)
