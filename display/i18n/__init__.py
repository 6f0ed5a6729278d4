"""Every word that the display speaks: one file for each language, guests' words first, then the operator's."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files

#: What is spoken where nothing else is asked for, and where a translation is missing.
DEFAULT_LANGUAGE = "en"

#: The table of a language's file that holds the operator's words.
_CONSOLE_TABLE = "console"


def _parse_translation(text: str) -> tuple[dict[str, str], dict[str, str]]:
    guests = tomllib.loads(text)
    return guests, guests.pop(_CONSOLE_TABLE, {})


#: Language (ISO 639-1) → guests' words and the operator's, each by name. Where a number matters there is a form for one
#: and one for many.
TRANSLATIONS: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    file.name.removesuffix(".toml"): _parse_translation(file.read_text(encoding="utf-8"))
    for file in files("display.i18n").iterdir()
    if file.name.endswith(".toml")
}


def get_guest_texts(language: str = DEFAULT_LANGUAGE) -> dict[str, str]:
    """Return what guests read, in a language; an unknown one, and what is not translated, falls back to the default."""
    return _get_texts(language, 0)


def get_console_texts(language: str = DEFAULT_LANGUAGE) -> dict[str, str]:
    """Return what the operator reads, in a language, with the same way to fall back."""
    return _get_texts(language, 1)


def _get_texts(language: str, section: int) -> dict[str, str]:
    asked = language.partition("-")[0].lower()
    chosen = asked if asked in TRANSLATIONS else DEFAULT_LANGUAGE
    return {**TRANSLATIONS[DEFAULT_LANGUAGE][section], **TRANSLATIONS[chosen][section], "language": chosen}
