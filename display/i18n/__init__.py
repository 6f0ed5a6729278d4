"""Translations of the display's texts: one TOML file per language, guest texts first, then console texts."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files

#: Used for unknown languages and missing translations.
DEFAULT_LANGUAGE = "en"

#: The table of a language's file that holds the console texts.
_CONSOLE_TABLE = "console"


def _parse_translation(text: str) -> tuple[dict[str, str], dict[str, str]]:
    guest_texts = tomllib.loads(text)
    return guest_texts, guest_texts.pop(_CONSOLE_TABLE, {})


#: Language (ISO 639-1) → guest texts and console texts, each by key. Texts with a number have a singular and a plural
#: key.
TRANSLATIONS: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    file.name.removesuffix(".toml"): _parse_translation(file.read_text(encoding="utf-8"))
    for file in files("display.i18n").iterdir()
    if file.name.endswith(".toml")
}


def get_guest_texts(language: str = DEFAULT_LANGUAGE) -> dict[str, str]:
    """Return the guest texts in a language, by key. Unknown languages and missing texts fall back to the default."""
    return _get_texts(language, 0)


def get_console_texts(language: str = DEFAULT_LANGUAGE) -> dict[str, str]:
    """Return the console texts in a language, by key, with the same fallback."""
    return _get_texts(language, 1)


def _get_texts(language: str, section: int) -> dict[str, str]:
    requested = language.partition("-")[0].lower()
    available = requested if requested in TRANSLATIONS else DEFAULT_LANGUAGE
    return {**TRANSLATIONS[DEFAULT_LANGUAGE][section], **TRANSLATIONS[available][section], "language": available}
