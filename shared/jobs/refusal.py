"""Why a file was refused, in a form that can be said in any language."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

_NAME = re.compile("[a-z_]{1,40}")

#: What a text fills in, at most.
_MAX_VALUES = 4


class RefusalCode(StrEnum):
    """The causes for which guests have a text, `refused_<code>`."""

    DAMAGED = "damaged"
    DREAM = "dream"
    EMPTY = "empty"
    INCOMPLETE = "incomplete"
    NO_PICTURE = "no_picture"
    RAW = "raw"
    TOO_COMPLEX = "too_complex"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    TOO_MANY_PIXELS = "too_many_pixels"
    UNSUPPORTED = "unsupported"
    VIDEO = "video"


@dataclass(frozen=True)
class RefusalCause:
    """The cause of a refusal, to be said in a guest's language. Raises ValueError if it is none."""

    #: A RefusalCode, or one of a newer version.
    code: str
    #: What the text fills in, by name, such as the largest number of megabytes.
    values: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Decoders, which a malicious file may take over, import no pydantic.
        are_names = all(map(_NAME.fullmatch, [self.code, *self.values]))
        are_numbers = all(type(value) is int for value in self.values.values())
        if not are_names or not are_numbers or len(self.values) > _MAX_VALUES:
            raise ValueError("no cause of a refusal")
