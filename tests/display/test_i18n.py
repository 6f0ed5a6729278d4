"""The words: every language has them, whole or by falling back, with the same places to fill in."""

import re
from collections.abc import Callable

import pytest

from display.i18n import DEFAULT_LANGUAGE, TRANSLATIONS, get_console_texts, get_guest_texts
from shared.jobs.events import Stage
from shared.monitoring.heartbeat import Component
from shared.storage.sidecar import Visibility

#: Spoken the same in both languages, so that there is nothing to translate.
UNTRANSLATED_KEYS = {"name", "percent", "seconds", "language"}


@pytest.mark.parametrize("spoken", [get_guest_texts, get_console_texts])
def test_what_is_not_spoken_falls_back(spoken: Callable[[str], dict[str, str]]) -> None:
    assert spoken("xx") == spoken(DEFAULT_LANGUAGE)
    assert spoken("de-AT") == spoken("de")
    assert spoken("DE")["language"] == "de"
    assert spoken("../de")["language"] == DEFAULT_LANGUAGE
    assert (
        spoken("de").keys() == spoken(DEFAULT_LANGUAGE).keys() | TRANSLATIONS["de"][spoken is get_console_texts].keys()
    )


@pytest.mark.parametrize("part", [0, 1])
def test_german_says_everything(part: int) -> None:
    assert TRANSLATIONS[DEFAULT_LANGUAGE][part].keys() - TRANSLATIONS["de"][part].keys() - UNTRANSLATED_KEYS == set()


@pytest.mark.parametrize("part", [0, 1])
def test_a_translation_fills_in_what_the_original_does(part: int) -> None:
    for language, catalogue in TRANSLATIONS.items():
        for name, text in catalogue[part].items():
            if name in (original := TRANSLATIONS[DEFAULT_LANGUAGE][part]):
                assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", original[name])), (
                    language,
                    name,
                )


def test_the_console_has_a_word_for_all_that_it_lists() -> None:
    named = [f"part_{part}" for part in Component] + [f"stage_{stage}" for stage in Stage]
    named += [f"standing_{standing}" for standing in Visibility]
    assert set(named) <= get_console_texts().keys()
