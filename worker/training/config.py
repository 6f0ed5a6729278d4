"""The plan of a training: every number that decides what comes out of it."""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

BackboneName = Literal["lite", "inception_v3", "vgg19"]

#: What suits each backbone. `lite` learns without batch normalisation, its own being folded into its convolutions.
BACKBONE_DEFAULTS: Mapping[BackboneName, Mapping[str, Any]] = {
    "lite": {"side": 224, "rate": 4e-4, "epochs": 24},
    "inception_v3": {"side": 299, "rate": 3e-4, "epochs": 15},
    "vgg19": {"side": 224, "rate": 1e-4, "epochs": 15},
}


class TrainingConfig(BaseModel):
    """How a network is trained. The same plan with the same data gives the same network, up to rounding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: BackboneName
    seed: int = Field(0, ge=0)
    #: Pixels: the side of the pictures that are learned from.
    side: int = Field(gt=31)
    #: Pictures of one step.
    batch: int = Field(32, gt=0)
    #: Rounds through the features of the frozen backbone, from which the head learns first.
    head_rounds: int = Field(40, ge=0)
    #: Rounds through the pictures, in which everything learns.
    epochs: int = Field(ge=0)
    #: The head's learning rate at its highest; it rises over the first twentieth and falls like a cosine.
    rate: float = Field(gt=0)
    #: The rate of each layer ÷ that of the next one: what sees edges knows them already (Howard and Ruder, “Universal
    #: Language Model Fine-tuning”, arXiv 1801.06146).
    rate_decay: float = Field(0.85, gt=0, le=1)
    #: Layers whose rate would be a smaller share of the head's than this do not learn at all: they are the costliest,
    #: and would hardly move.
    frozen_below: float = Field(0.12, ge=0, lt=1)
    weight_decay: float = Field(0.05, ge=0)
    #: Probability that is spread over all artists (Szegedy et al., arXiv 1512.00567).
    smoothing: float = Field(0.1, ge=0, lt=1)
    #: Of the beta distribution that pairs of pictures are mixed by (Zhang et al., “mixup”, arXiv 1710.09412); 0: none.
    mixing: float = Field(0.4, ge=0)
    #: The smallest share of a picture's area that is cut out of it.
    smallest_crop: float = Field(0.3, gt=0, le=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    #: Epochs without a better validation after which training ends. The last third, with its low rates, is
    #: worth waiting for: with a patience of 6, a training stopped at epoch 18 of 24.
    patience: int = Field(10, gt=0)
    #: What the steps compute in.
    precision: Literal["float32", "bfloat16"] = "float32"

    @classmethod
    def for_backbone(cls, backbone: BackboneName, **overrides: object) -> Self:
        """Return the plan that suits a backbone; what was chosen (not None) comes first."""
        wanted = {name: value for name, value in overrides.items() if value is not None}
        return cls.model_validate({"backbone": backbone, **BACKBONE_DEFAULTS[backbone], **wanted})

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change with any of its numbers."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
