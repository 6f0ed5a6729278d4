"""The configuration of a training: every number that affects its result."""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

BackboneName = Literal["lite", "inception_v3", "vgg19"]

#: Defaults for each backbone. `lite` trains without batch normalization, which is folded into its convolutions.
BACKBONE_DEFAULTS: Mapping[BackboneName, Mapping[str, Any]] = {
    "lite": {"side": 224, "rate": 4e-4, "epochs": 24},
    "inception_v3": {"side": 299, "rate": 3e-4, "epochs": 15},
    "vgg19": {"side": 224, "rate": 1e-4, "epochs": 15},
}


class TrainingConfig(BaseModel):
    """How a network is trained. The same configuration and data give the same network, up to rounding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: BackboneName
    seed: int = Field(0, ge=0)
    #: Pixels: side of the training pictures.
    side: int = Field(gt=31)
    #: Pictures per step.
    batch: int = Field(32, gt=0)
    #: Epochs over the features of the frozen backbone, in which only the head is trained, before all else.
    head_rounds: int = Field(40, ge=0)
    #: Epochs over the pictures, in which the head and all layers that are not frozen are trained.
    epochs: int = Field(ge=0)
    #: Peak learning rate of the head; it rises over the first twentieth of all steps and then decays like a cosine.
    rate: float = Field(gt=0)
    #: Learning rate of each layer ÷ that of the next one: early layers, which detect edges, need least change (Howard
    #: and Ruder, “Universal Language Model Fine-tuning”, arXiv 1801.06146).
    rate_decay: float = Field(0.85, gt=0, le=1)
    #: Layers whose learning rate would be a smaller share of the head's than this are frozen: they are the most
    #: expensive, and would hardly change.
    frozen_below: float = Field(0.12, ge=0, lt=1)
    weight_decay: float = Field(0.05, ge=0)
    #: Label smoothing: probability that is spread over all artists (Szegedy et al., arXiv 1512.00567).
    smoothing: float = Field(0.1, ge=0, lt=1)
    #: Parameter of the beta distribution for mixup of pairs of pictures (Zhang et al., arXiv 1710.09412); 0: no mixup.
    mixing: float = Field(0.4, ge=0)
    #: Smallest area of a crop, as a share of the picture's.
    smallest_crop: float = Field(0.3, gt=0, le=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    #: Epochs without a better validation after which training stops. The last third of the epochs, with low rates,
    #: brings improvements: with a patience of 6, a training stopped at epoch 18 of 24.
    patience: int = Field(10, gt=0)
    #: Compute type of the training steps.
    precision: Literal["float32", "bfloat16"] = "float32"

    @classmethod
    def for_backbone(cls, backbone: BackboneName, **overrides: object) -> Self:
        """Return the default configuration of a backbone; overrides that are not None take precedence."""
        chosen = {name: value for name, value in overrides.items() if value is not None}
        return cls.model_validate({"backbone": backbone, **BACKBONE_DEFAULTS[backbone], **chosen})

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change with any of the numbers."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
