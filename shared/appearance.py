"""Appearance: title, texts, logo and colors of an event, on every page, print and clip."""

import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.colors import HEX_COLOR, ensure_contrast
from shared.errors import ArtDreamError, did_you_mean
from shared.storage.object_names import LOGO_NAME

#: The table of the event file that holds the appearance.
EVENT_TABLE = "event"

#: Range of `Appearance.text_scale`.
MIN_TEXT_SCALE, MAX_TEXT_SCALE = 0.8, 1.5


class Theme(StrEnum):
    """Whether an event is dark or light."""

    DARK = "dark"
    LIGHT = "light"


@dataclass(frozen=True)
class ThemeColors:
    """The colors of a theme, each as #rrggbb. All texts have a contrast of 4.5 on ground and field (WCAG AA)."""

    ground: str
    #: Text.
    ink: str
    #: Text of less weight.
    muted: str
    #: Text of warnings.
    signal: str
    #: Ground of input fields, and their edge.
    field: str
    field_edge: str
    #: Edge and text of faults.
    fault: str
    fault_ink: str
    #: For lines, marks and text; also a ground on which `ground` is readable text.
    accent: str


_THEME_COLORS = {
    Theme.DARK: ThemeColors(
        ground="#0b0a09",
        ink="#efe9df",
        muted="#b3aa9b",
        signal="#e8b45a",
        field="#1b1917",
        field_edge="#857d73",
        fault="#e39a7d",
        fault_ink="#f0b8a1",
        accent="#c9a76a",
    ),
    Theme.LIGHT: ThemeColors(
        ground="#f7f3ea",
        ink="#211d18",
        muted="#655c50",
        signal="#7d5200",
        field="#fffdf8",
        field_edge="#857b6c",
        fault="#b3452a",
        fault_ink="#8d3219",
        accent="#8a5f14",
    ),
}


def _require_plain_line(text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise ValueError("write it in one line, without control characters")
    return text


def _require_color(color: str) -> str:
    if color and not HEX_COLOR.fullmatch(color):
        raise ValueError("name a color as #rrggbb, such as #c9a76a")
    return color


def _require_logo_name(name: str) -> str:
    if name and not LOGO_NAME.fullmatch(name):
        raise ValueError("is no object name of a logo")
    return name


_PlainLine = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_require_plain_line)]
_Color = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True), AfterValidator(_require_color)]


class Appearance(BaseModel):
    """How an event looks. An empty text stands for the display's own, in the language of each page."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: _PlainLine = Field("", max_length=60, description="Name of the event. Default: ArtDream.")
    subtitle: _PlainLine = Field("", max_length=120, description="Line below the title. Default: none.")
    logo: Annotated[str, AfterValidator(_require_logo_name)] = Field(
        "",
        description=(
            "Picture of the host: a PNG, JPEG or WebP file, named relative to the event file. Use a PNG with a "
            "transparent background, 800 pixels wide or more. Default: none."
        ),
    )
    accent: _Color = Field(
        "",
        description=(
            "Color of lines, marks and the most important button, as #rrggbb. If it is hard to read on the background, "
            "it is made lighter or darker until it is not. Default: that of the theme."
        ),
    )
    theme: Theme = Field(
        Theme.DARK, description="`dark`, for rooms in which the wall is the light, or `light`, for bright rooms."
    )
    text_scale: float = Field(
        1.0,
        ge=MIN_TEXT_SCALE,
        le=MAX_TEXT_SCALE,
        allow_inf_nan=False,
        description=f"Size of all texts, from {MIN_TEXT_SCALE} to {MAX_TEXT_SCALE} times the usual one.",
    )
    idle_text: _PlainLine = Field(
        "",
        max_length=160,
        description="What the wall says before the first dream. Default: how to send a photo, in the wall's language.",
    )
    consent: _PlainLine = Field(
        "",
        max_length=600,
        description=(
            "What guests agree to before they send a photo, as plain text. Default: that photo and dream are shown in "
            "the exhibition, in the guest's language."
        ),
    )

    @property
    def colors(self) -> ThemeColors:
        """The colors of the theme, with an accent that is readable on its grounds."""
        colors = _THEME_COLORS[self.theme]
        return replace(colors, accent=ensure_contrast(self.accent or colors.accent, colors.ground, colors.field))

    @property
    def is_accent_adjusted(self) -> bool:
        """Whether the accent is hard to read on the theme's grounds, so that a lighter or darker one is used."""
        return self.accent not in ("", self.colors.accent)

    def with_changes(self, changes: Mapping[str, object]) -> "Appearance":
        """Return a copy with some fields changed. Raises ValidationError; ignores unknown fields."""
        return Appearance.model_validate({**self.model_dump(), **changes})


@dataclass(frozen=True)
class EventFile:
    """The content of an event file."""

    #: Without a logo.
    appearance: Appearance
    #: File of the logo; None if there is none.
    logo: Path | None


def read_event_file(path: Path) -> EventFile:
    """Read the appearance from the table [event] of a TOML file.

    Raises ArtDreamError that names file, key and reason; also if the file of the logo is missing.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtDreamError(f"The event file {path} cannot be read: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArtDreamError(f"The event file {path} is not valid TOML: {error}.") from None
    if unknown := [name for name in content if name != EVENT_TABLE]:
        raise ArtDreamError(f"The event file {path} has only the table [{EVENT_TABLE}]; remove or rename {unknown[0]}.")
    table = content.get(EVENT_TABLE)
    if not isinstance(table, dict):
        raise ArtDreamError(
            f"The event file {path} has no table [{EVENT_TABLE}]: write that line before the first key."
        )
    for name in table:
        if name not in Appearance.model_fields:
            hint = did_you_mean(name, Appearance.model_fields)
            raise ArtDreamError(f"The event file {path} has the unknown key {name}. {hint}")
    logo = table.pop("logo", "")
    if not isinstance(logo, str):
        raise ArtDreamError(f"The event file {path}: logo: name its file (it is {logo!r}).")
    try:
        appearance = Appearance.model_validate(table)
    except ValidationError as error:
        raise ArtDreamError(f"The event file {path}: {describe_validation_error(error)}") from None
    logo_path = path.parent / Path(logo).expanduser() if logo else None
    if logo_path and not logo_path.is_file():
        raise ArtDreamError(f"The event file {path}: logo: there is no file {logo_path}.")
    return EventFile(appearance, logo_path)


def describe_validation_error(error: ValidationError) -> str:
    """Return a sentence about the first field of an Appearance that is not valid."""
    first = error.errors()[0]
    name, context, value = ".".join(map(str, first["loc"])), first.get("ctx", {}), first["input"]
    match first["type"]:
        case "string_too_long":
            return f"{name}: it may have at most {context['max_length']} characters, and has {len(value)}."
        case "enum":
            return f"{name}: name one of {context['expected']} (it is {value!r})."
    return f"{name}: {first['msg'].removeprefix('Value error, ')} (it is {value!r})."
