"""The configuration of a training: every number that affects its result."""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

BackboneName = Literal["lite", "lite2", "inception_v3", "vgg19"]

#: Defaults for each backbone. `lite` and `lite2` train without batch normalization, which is folded into their
#: convolutions.
BACKBONE_DEFAULTS: Mapping[BackboneName, Mapping[str, Any]] = {
    "lite": {"side": 224, "rate": 4e-4, "epochs": 24},
    "lite2": {"side": 260, "rate": 4e-4, "epochs": 24},
    "inception_v3": {"side": 299, "rate": 3e-4, "epochs": 15},
    "vgg19": {"side": 224, "rate": 1e-4, "epochs": 15},
}


#: Defaults of adversarial training that differ from those above. All layers learn at the same rate, because the first
#: ones must change most: an ordinary network's edge detectors pass the attack on. Pictures are small, because every
#: step is two passes, and augmented less: the attack is the augmentation.
ROBUST_DEFAULTS: Mapping[str, Any] = {
    "side": 128,
    "epochs": 24,
    "epsilon": 1.2,
    "rate_decay": 1.0,
    "smallest_crop": 0.4,
    "mixing": 0.0,
    "dropout": 0.0,
    "smoothing": 0.05,
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
    #: Standard deviation, of pictures in [-1, 1], of the strongest Gaussian noise that is added to a training picture.
    #: Each picture draws its own strength and grain. A network that has seen noise is harder to mislead by speckle.
    noise: float = Field(0.0, ge=0)
    dropout: float = Field(0.3, ge=0, lt=1)
    #: Epochs without a better validation after which training stops. The last third of the epochs, with low rates,
    #: brings improvements: with a patience of 6, a training stopped at epoch 18 of 24.
    patience: int = Field(10, gt=0)
    #: Adversarial training (Madry et al., arXiv 1706.06083): the L2 norm, of pictures in [0, 1] at `side`, of the
    #: changes that the network learns to withstand; 0: ordinary training.
    epsilon: float = Field(0.0, ge=0)
    #: Steps in which the attack of a training step looks for the worst change. One is enough if it starts at a random
    #: change (Wong et al., “Fast is better than free”, arXiv 2001.03994).
    attack_steps: int = Field(1, gt=0)
    #: Network from whose weights it starts; "": the backbone's ImageNet weights, and a head that is trained first.
    initial_network: str = ""
    #: Compute type of the training steps.
    precision: Literal["float32", "bfloat16"] = "float32"

    @classmethod
    def for_backbone(cls, backbone: BackboneName, *, is_robust: bool = False, **overrides: object) -> Self:
        """Return the default configuration of a backbone; overrides that are not None take precedence.

        is_robust: for adversarial training.
        """
        chosen = {name: value for name, value in overrides.items() if value is not None}
        defaults = {**BACKBONE_DEFAULTS[backbone], **(ROBUST_DEFAULTS if is_robust else {})}
        return cls.model_validate({"backbone": backbone, **defaults, **chosen})

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change with any of the numbers."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
