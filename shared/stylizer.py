"""A stylizer: a small network that paints a picture in one pass, and the files that `artdream train-stylizer` writes.

The display runs it. It is an ONNX graph with two inputs: `picture`, (1, 3, height, width) float32 RGB in [-1, 1], and
`style`, (1, styles) float32, the share of each style. Its output `painting` has the shape and range of the picture.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

#: Names of the files: the graph with its weights, its description, and its model card.
GRAPH_FILE, METADATA_FILE, CARD_FILE = "stylizer.onnx", "stylizer.json", "README.md"

#: Names of the graph's inputs, and of its output.
PICTURE, STYLE, PAINTING = "picture", "style", "painting"

#: Height and width of a picture are multiples of this many pixels: the graph halves them twice, and doubles them again.
SIDE_MULTIPLE = 4


class StylizerMetadata(BaseModel):
    """What a stylizer paints, and how it was trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Names of the styles, in the order of the graph's input.
    styles: tuple[str, ...] = Field(min_length=1)
    #: Pixels: the long side of a picture at which its strokes look as they were trained.
    side: int = Field(ge=64)
    #: SHA-256 of the graph's file.
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    #: Network that judged its paintings in training, the number of steps, and the command.
    judge: str
    steps: int = Field(ge=1)
    command: str
    license: str = ""
