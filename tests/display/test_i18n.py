"""The translations: every language has every text, its own or the default's, with the same placeholders."""

import re
from collections.abc import Callable

import pytest
from starlette.requests import Request

from display.i18n import DEFAULT_LANGUAGE, TRANSLATIONS, get_console_texts, get_guest_texts, get_requested_texts
from shared.jobs.events import Stage
from shared.jobs.refusal import RefusalCode
from shared.monitoring.heartbeat import Component
from shared.storage.sidecar import Visibility

#: Keys of texts that need no translation.
UNTRANSLATED_KEYS = {"name", "language"}


@pytest.mark.parametrize("get_texts", [get_guest_texts, get_console_texts])
def test_what_is_not_spoken_falls_back(get_texts: Callable[[str], dict[str, str]]) -> None:
    assert get_texts("xx") == get_texts(DEFAULT_LANGUAGE)
    assert get_texts("de-AT") == get_texts("de")
    assert get_texts("DE")["language"] == "de"
    assert get_texts("../de")["language"] == DEFAULT_LANGUAGE
    assert (
        get_texts("de").keys()
        == get_texts(DEFAULT_LANGUAGE).keys() | TRANSLATIONS["de"][get_texts is get_console_texts].keys()
    )


@pytest.mark.parametrize(
    ("query", "accepted", "default", "expected"),
    [
        ("", "de-AT,de;q=0.9,en;q=0.8", "en", "de"),
        ("", "fr-FR,en;q=0.7,de;q=0.3", "de", "en"),
        ("", "fr, it;q=0.5", "de", "de"),
        ("", "en;q=0, de;q=0.1", "en", "de"),
        ("", "*", "de", "de"),
        ("", "de;q=x, ;;,=", "en", "en"),
        ("", "", "de", "de"),
        ("lang=en", "de", "de", "en"),
        ("lang=xx", "de", "de", "en"),
    ],
)
def test_a_guest_reads_the_language_of_the_link_or_of_the_phone(
    query: str, accepted: str, default: str, expected: str
) -> None:
    headers = [(b"accept-language", accepted.encode())] if accepted else []
    request = Request({"type": "http", "query_string": query.encode(), "headers": headers})
    assert get_requested_texts(request, default)["language"] == expected


@pytest.mark.parametrize("part", [0, 1])
def test_german_says_everything(part: int) -> None:
    assert TRANSLATIONS[DEFAULT_LANGUAGE][part].keys() - TRANSLATIONS["de"][part].keys() - UNTRANSLATED_KEYS == set()


@pytest.mark.parametrize("part", [0, 1])
def test_a_translation_fills_in_what_the_original_does(part: int) -> None:
    for language, catalogue in TRANSLATIONS.items():
        for key, text in catalogue[part].items():
            if key in (original := TRANSLATIONS[DEFAULT_LANGUAGE][part]):
                assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", original[key])), (
                    language,
                    key,
                )


def test_guests_have_a_text_for_each_cause_of_a_refusal() -> None:
    assert {f"refused_{code}" for code in RefusalCode} <= get_guest_texts().keys()


def test_the_console_has_a_word_for_all_that_it_lists() -> None:
    keys = [f"part_{part}" for part in Component] + [f"stage_{stage}" for stage in Stage]
    keys += [f"standing_{visibility}" for visibility in Visibility]
    assert set(keys) <= get_console_texts().keys()
