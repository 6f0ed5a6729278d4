"""Objectives of recipes: a weighted sum of terms that gradient ascent maximises."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

#: A reference image in the store's `references/`: `artist/file`, or an artist, of whose works the job's seed picks one.
Reference = Annotated[str, Field(pattern=r"^[\w-][\w .-]*(/[\w-][\w .-]*)?$", max_length=200)]

ArtistName = Annotated[str, Field(min_length=1, max_length=200)]

Layer = Annotated[str, Field(min_length=1, max_length=100)]

#: Layer → weight.
LayerWeights = Annotated[dict[Layer, FiniteFloat], Field(min_length=1, max_length=500)]


class StrictModel(BaseModel):
    """A job, or a part of its recipe: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Fields that were added after the first jobs had ids. With their defaults they change nothing and are not written:
    #: jobs of earlier versions keep their ids, and those versions, which refuse unknown fields, read jobs of this one.
    later_fields: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _leave_out_unused_fields(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        fields = type(self).model_fields
        unused = {name for name in self.later_fields if getattr(self, name) == fields[name].default}
        return {name: value for name, value in serialize(self).items() if name not in unused}


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
    """Raise a classifier's classes at every position of its class map."""

    later_fields = frozenset({"measure"})

    kind: Literal["classes"]
    #: What is raised. The log-probability is content once the classes are recognised; the logit has no end, and lets
    #: all other classes rise with it.
    measure: Literal["logit", "log-probability"] = "logit"
    classes: tuple[Annotated[str, Field(max_length=200)], ...] = Field(min_length=1, max_length=5000)


class Guide(_BaseTerm):
    """Make every position of the image more like the most similar position of a reference image."""

    kind: Literal["guide"]
    layers: LayerWeights
    reference: Reference


class Style(_BaseTerm):
    """Take on the strokes and colours of a reference image, or of an artist's works, independent of their position.

    The works are known by statistics that come with the network; the job's seed draws one of them.
    """

    later_fields = frozenset({"artist"})

    kind: Literal["style"]
    layers: LayerWeights
    reference: Reference | None = None
    artist: ArtistName | None = None

    @model_validator(mode="after")
    def _validate_source(self) -> Self:
        if (self.reference is None) == (self.artist is None):
            raise ValueError("a style is that of a reference, or of an artist: name one of them")
        return self


class Palette(_BaseTerm):
    """Take on the colours of an artist's works, in their shares of the picture."""

    kind: Literal["palette"]
    artist: ArtistName
    #: Share of the way to the palette that the photo is toned as a whole before the first step.
    toning: float = Field(0.0, ge=0, le=1)


class Grain(_BaseTerm):
    """Take on the fineness of an artist's works: the strength of their detail at each scale."""

    kind: Literal["grain"]
    artist: ArtistName


class Content(_BaseTerm):
    """Stay close to the photo in the features of some layers."""

    kind: Literal["content"]
    layers: LayerWeights


class Variation(_BaseTerm):
    """Keep neighbouring pixels similar."""

    kind: Literal["variation"]


TERM_TYPES = (Layers, Channels, Classes, Guide, Style, Palette, Grain, Content, Variation)

Term = Annotated[
    Layers | Channels | Classes | Guide | Style | Palette | Grain | Content | Variation, Field(discriminator="kind")
]
