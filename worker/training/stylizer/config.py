"""The configuration of a stylizer's training: every number that affects its result."""

from pydantic import BaseModel, ConfigDict, Field

from shared.recipe.painters import PAINTING_NETWORK

#: Painters whose styles cannot be confused with each other, of high contrast, and who leave something of any face.
DEFAULT_PAINTERS = (
    "Vincent van Gogh",
    "Pablo Picasso",
    "Paul Klee",
    "Vasiliy Kandinskiy",
    "Edvard Munch",
    "Henri Matisse",
    "Marc Chagall",
    "Georges Seurat",
    "Andy Warhol",
    "Francisco Goya",
)


class StylizerConfig(BaseModel):
    """How a stylizer is trained. The same configuration and pictures give the same network, up to rounding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: The styles, in the order of the network's input.
    painters: tuple[str, ...] = Field(DEFAULT_PAINTERS, min_length=1)
    #: Network whose style statistics are learned, and which judges the paintings.
    judge: str = PAINTING_NETWORK
    steps: int = Field(5000, ge=1)
    seed: int = Field(0, ge=0)
    #: Pictures per step.
    batch: int = Field(4, ge=1)
    #: Pixels: side of the crops that are painted.
    side: int = Field(192, ge=64)
    #: Smallest side of a crop, as a share of the picture's short side.
    smallest_crop: float = Field(0.5, gt=0, le=1)
    #: Peak learning rate; it rises over the first twentieth of all steps and then decays like a cosine.
    rate: float = Field(1e-3, gt=0)
    #: Weights of a recipe's terms ÷ their weights in the painters' recipes. In a single pass, less is left of a face
    #: than in a dream of many steps: what is seen counts more than the style.
    content_weight: float = Field(3.0, gt=0)
    style_weight: float = Field(0.5, gt=0)
    #: The network sees no picture as a whole: if each part of it must have all colours of the palette, nothing but its
    #: edges is left.
    palette_weight: float = Field(0.25, ge=0)
    #: Weight of the squared distance, of Lab ÷ 100, from the toned picture: what is dark or coloured remains so in the
    #: colours of the style. Recipes tone the photo before their first step instead.
    tone_weight: float = Field(150.0, ge=0)
    #: Standard deviation, of pictures in [-1, 1], of the strongest noise that is added to what the network paints, but
    #: not to what the painting is compared with: a camera's noise differs in every frame, and must not flicker.
    noise: float = Field(0.08, ge=0)
