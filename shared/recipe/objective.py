"""What a recipe may ask a dream to become: terms that add up, each with a weight."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

#: An artwork in the store's `references/`: an artist, of whose works the job's seed draws one, or `artist/file`.
Reference = Annotated[str, Field(pattern=r"^[\w-][\w .-]*(/[\w-][\w .-]*)?$", max_length=200)]

Layer = Annotated[str, Field(min_length=1, max_length=100)]

#: Layer → weight.
LayerWeights = Annotated[dict[Layer, FiniteFloat], Field(min_length=1, max_length=500)]


class StrictModel(BaseModel):
    """A part of a recipe: no field changes, and none is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _BaseTerm(StrictModel):
    #: How much the term counts; below 0 it is avoided.
    weight: FiniteFloat = 1.0


class Layers(_BaseTerm):
    """Make whole layers fire, whatever they see."""

    kind: Literal["layers"]
    layers: LayerWeights
    #: Of the activations. The mean square prefers what is strong already, the plain mean spreads.
    measure: Literal["mean-square", "mean"] = "mean-square"


class Channels(_BaseTerm):
    """Make single channels of a layer fire: each is a detector of something."""

    kind: Literal["channels"]
    layer: Layer
    channels: tuple[Annotated[int, Field(ge=0, lt=2**20)], ...] = Field(min_length=1, max_length=5000)


class Classes(_BaseTerm):
    """Give me more of this: raise the logits of a classifier's output nodes at every position of its class map."""

    kind: Literal["classes"]
    classes: tuple[Annotated[str, Field(max_length=200)], ...] = Field(min_length=1, max_length=5000)


class Guide(_BaseTerm):
    """Let every place of the picture become more like the place of an artwork that it resembles most already."""

    kind: Literal["guide"]
    layers: LayerWeights
    reference: Reference


class Style(_BaseTerm):
    """Take on the strokes and colours of an artwork, wherever they are in it."""

    kind: Literal["style"]
    layers: LayerWeights
    reference: Reference


class Content(_BaseTerm):
    """Stay the photo, as some layers see it."""

    kind: Literal["content"]
    layers: LayerWeights


class Variation(_BaseTerm):
    """Stay calm: keep neighbouring pixels alike."""

    kind: Literal["variation"]


TERM_TYPES = (Layers, Channels, Classes, Guide, Style, Content, Variation)

Term = Annotated[Layers | Channels | Classes | Guide | Style | Content | Variation, Field(discriminator="kind")]
