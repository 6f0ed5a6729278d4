"""The card beside a network's file: what the file itself does not tell."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import ArtDreamError


class Card(BaseModel):
    """What `network.json` says of `network.keras`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...] = Field((), description="What it tells apart, in the order of its outputs.")
    side: int = Field(224, gt=0, description="Pixels: the side of the pictures it was trained on.")
    range: Literal["unit", "bytes", "zero_one"] = Field(
        "unit", description="The numbers it was trained on: unit, -1 to 1; bytes, 0 to 255; zero_one, 0 to 1."
    )
    licence: str = Field("", description="Under which licence it may be used.")
    source: str = Field("", description="Where it comes from.")


def read_card(content: bytes | None, name: str) -> Card:
    """Return what a card says, and the usual where there is none.

    name: names the card in errors. Raises ArtDreamError where it is not a card.
    """
    if content is None:
        return Card()
    try:
        return Card.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the card"
        raise ArtDreamError(f"The card {name} cannot be used: {where}: {first['msg']}.") from None
