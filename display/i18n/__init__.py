"""Translations of the display's texts: one TOML file per language, guest texts first, then console texts, if any."""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files

from starlette.requests import Request

#: Used for unknown languages and missing translations.
DEFAULT_LANGUAGE = "en"

#: A language of Accept-Language, without its region, and its weight.
_ACCEPTED_LANGUAGE = re.compile(
    r"(?:^|,)\s*([a-z]+)(?:-[\w-]+)?\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?(?=,|$)", re.ASCII | re.I
)

#: The table of a language's file that holds the console texts.
_CONSOLE_TABLE = "console"


def _parse_translation(text: str) -> tuple[dict[str, str], dict[str, str]]:
    guest_texts = tomllib.loads(text)
    return guest_texts, guest_texts.pop(_CONSOLE_TABLE, {})


#: Language (ISO 639-1) → guest texts and console texts, each by key. Texts with a number have a key for each of the
#: language's plural categories: `dreams_one`, `dreams_other`.
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


def get_requested_texts(request: Request, default: str) -> dict[str, str]:
    """Return the guest texts in the language of a page: `?lang=`, else the best of Accept-Language that there is.

    default: the language if the request asks for none that there is.
    """
    return get_guest_texts(request.query_params.get("lang") or _find_accepted_language(request) or default)


def _find_accepted_language(request: Request) -> str | None:
    """Return the language with the highest weight in Accept-Language that there is (RFC 9110, 12.5.4), None if none."""
    weights: dict[str, float] = {}
    for language, weight in _ACCEPTED_LANGUAGE.findall(request.headers.get("accept-language", "")):
        weights.setdefault(language.lower(), float(weight or 1))
    known = [language for language in weights if language in TRANSLATIONS and weights[language] > 0]
    return max(known, key=lambda language: weights[language], default=None)


def _get_texts(language: str, section: int) -> dict[str, str]:
    requested = language.partition("-")[0].lower()
    available = requested if TRANSLATIONS.get(requested, ({}, {}))[section] else DEFAULT_LANGUAGE
    return {**TRANSLATIONS[DEFAULT_LANGUAGE][section], **TRANSLATIONS[available][section], "language": available}
