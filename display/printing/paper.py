"""Paper: the sizes of sheets, with the names by which printers know them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A size of paper, upright."""

    #: Name in the standard of self-describing media names (PWG 5101.1).
    media: str
    #: Millimetres.
    width: float
    height: float


#: Value of the setting `print_paper` → paper.
PAPERS = {
    "10x15": Paper("na_index-4x6_4x6in", 101.6, 152.4),
    "a6": Paper("iso_a6_105x148mm", 105.0, 148.0),
    "a4": Paper("iso_a4_210x297mm", 210.0, 297.0),
    "square": Paper("oe_square-photo_5x5in", 127.0, 127.0),
}
