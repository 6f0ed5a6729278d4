"""Network metadata: the JSON file beside a network's .keras file, with what that file does not contain."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import ArtDreamError


class _FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingRecord(_FrozenModel):
    """How a network of this project was trained."""

    backbone: str = Field(description="What it was trained from.")
    from_imagenet: bool = Field(description="Whether the backbone knew ImageNet; else it started from nothing.")
    data: str = Field(description="Digest of the data set's manifest.")
    pictures: dict[str, int] = Field(description="Pictures of each part of the data set.")
    plan: dict[str, str | int | float] = Field(description="Every number that decided what came out.")
    epochs: int = Field(description="How many were done.")
    best: int = Field(description="The one that was taken, from 1; 0: the frozen backbone with a trained head.")
    command: str = Field("", description="The command that made it.")


class EvaluationScore(_FrozenModel):
    """The scores of a network on pictures that it was not trained on."""

    pictures: int
    top1: float
    top5: float
    macro_f1: float
    calibration_error: float


class RobustnessScore(_FrozenModel):
    """The scores of an adversarially trained network at its training side, as it is and under attack."""

    pictures: int
    side: int = Field(description="Pixels: the side of the pictures.")
    epsilon: float = Field(description="L2 norm of the attack's change, of pictures in [0, 1].")
    steps: int = Field(description="Steps of the attack, projected gradient ascent from a random start.")
    top1: float
    attacked_top1: float


class NetworkMetadata(_FrozenModel):
    """The content of `network.json`, which describes `network.keras`."""

    classes: tuple[str, ...] = Field((), description="What it distinguishes, in the order of its outputs.")
    side: int = Field(224, gt=0, description="Pixels: the side of the pictures it was trained on.")
    further_sides: tuple[int, ...] = Field((), description="Further sides at which it looks at a picture to name it.")
    range: Literal["unit", "bytes", "zero_one"] = Field(
        "unit", description="The numbers it was trained on: unit, -1 to 1; bytes, 0 to 255; zero_one, 0 to 1."
    )
    licence: str = Field("", description="Under which licence it may be used.")
    source: str = Field("", description="Where it comes from.")
    lesson: TrainingRecord | None = Field(None, description="How it was trained, where this project did.")
    score: EvaluationScore | None = Field(None, description="How well it does on the part `test` of its data set.")
    robustness: RobustnessScore | None = Field(None, description="The same under attack, if it was trained to.")

    @property
    def sides(self) -> tuple[int, ...]:
        """Pixels: the short sides at which the network predicts classes."""
        return (self.side, *self.further_sides)


def parse_metadata(content: bytes | None, name: str) -> NetworkMetadata:
    """Return the metadata in a JSON file, the defaults if the content is None.

    name: names the file in messages. Raises ArtDreamError if the content is not valid metadata.
    """
    if content is None:
        return NetworkMetadata()
    try:
        return NetworkMetadata.model_validate_json(content)
    except ValidationError as error:
        first_error = error.errors()[0]
        location = ".".join(map(str, first_error["loc"])) or "the card"
        raise ArtDreamError(f"The card {name} cannot be used: {location}: {first_error['msg']}.") from None
