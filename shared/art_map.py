"""The art map: a 2-D map of a network's embedding of paintings, and the position of a photo and its dream on it."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from shared.storage.object_names import REFERENCES_PREFIX

#: Paintings in the largest valid map; a browser still pans and zooms several times as many smoothly.
MAX_PAINTINGS = 100_000

_Column = Field(max_length=MAX_PAINTINGS)


class MapPoint(BaseModel):
    """The positions of a photo and its dream on the map of a network, as (x, y)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    network: str
    photo: tuple[FiniteFloat, FiniteFloat]
    dream: tuple[FiniteFloat, FiniteFloat]


class ArtMap(BaseModel):
    """Paintings in two dimensions, stored by column: the n-th entry of each column belongs to the n-th painting."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    network: str
    artists: tuple[str, ...] = Field(min_length=1, max_length=1000)
    x: Annotated[tuple[FiniteFloat, ...], _Column]
    y: Annotated[tuple[FiniteFloat, ...], _Column]
    #: Index of the painter in `artists`, from 0.
    artist: Annotated[tuple[int, ...], _Column]
    #: Object name of the picture, "" if the installation has none.
    picture: Annotated[tuple[str, ...], _Column]

    @model_validator(mode="after")
    def _validate_columns(self) -> Self:
        if len({len(column) for column in (self.x, self.y, self.artist, self.picture)}) > 1:
            raise ValueError("the columns x, y, artist and picture differ in length")
        if any(not 0 <= index < len(self.artists) for index in self.artist):
            raise ValueError("a painting is by an artist that the list of artists does not have")
        if any(name and (not name.startswith(REFERENCES_PREFIX) or ".." in name) for name in self.picture):
            raise ValueError(f"a picture lies outside {REFERENCES_PREFIX}")
        return self
