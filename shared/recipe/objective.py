"""Objectives of recipes: a weighted sum of terms that gradient ascent maximises."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

#: A reference image in the store's `references/`: `artist/file`, or an artist, of whose works the job's seed picks one.
Reference = Annotated[str, Field(pattern=r"^[\w-][\w .-]*(/[\w-][\w .-]*)?$", max_length=200)]

Layer = Annotated[str, Field(min_length=1, max_length=100)]

#: Layer → weight.
LayerWeights = Annotated[dict[Layer, FiniteFloat], Field(min_length=1, max_length=500)]


class StrictModel(BaseModel):
    """A part of a recipe: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _BaseTerm(StrictModel):
    #: Factor of the term in the sum; a negative one minimises the term.
    weight: FiniteFloat = 1.0


class Layers(_BaseTerm):
    """Amplify the activations of whole layers."""

    kind: Literal["layers"]
    layers: LayerWeights
    #: Statistic of the activations. The mean square favours activations that are already strong; the mean spreads.
    measure: Literal["mean-square", "mean"] = "mean-square"


class Channels(_BaseTerm):
    """Amplify single channels of a layer; each detects a feature."""

    kind: Literal["channels"]
    layer: Layer
    channels: tuple[Annotated[int, Field(ge=0, lt=2**20)], ...] = Field(min_length=1, max_length=5000)


class Classes(_BaseTerm):
    """Raise the logits of a classifier's classes at every position of its class map."""

    kind: Literal["classes"]
    classes: tuple[Annotated[str, Field(max_length=200)], ...] = Field(min_length=1, max_length=5000)


class Guide(_BaseTerm):
    """Make every position of the image more like the most similar position of a reference image."""

    kind: Literal["guide"]
    layers: LayerWeights
    reference: Reference


class Style(_BaseTerm):
    """Take on the strokes and colours of a reference image, independent of their position in it."""

    kind: Literal["style"]
    layers: LayerWeights
    reference: Reference


class Content(_BaseTerm):
    """Stay close to the photo in the features of some layers."""

    kind: Literal["content"]
    layers: LayerWeights


class Variation(_BaseTerm):
    """Keep neighbouring pixels similar (total variation)."""

    kind: Literal["variation"]


TERM_TYPES = (Layers, Channels, Classes, Guide, Style, Content, Variation)

Term = Annotated[Layers | Channels | Classes | Guide | Style | Content | Variation, Field(discriminator="kind")]
