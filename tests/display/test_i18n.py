"""The translations: every language has every text, its own or the default's, with the same placeholders."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from starlette.requests import Request

import display
from display.i18n import DEFAULT_LANGUAGE, TRANSLATIONS, get_console_texts, get_guest_texts, get_requested_texts
from shared.appearance import Appearance, Theme
from shared.jobs.events import Stage
from shared.jobs.job import Origin
from shared.jobs.refusal import RefusalCode
from shared.monitoring.heartbeat import Component
from shared.monitoring.usage_counts import OTHER_CAUSE
from shared.screens import Content, Layout
from shared.storage.sidecar import Visibility

#: Keys of texts that need no translation.
UNTRANSLATED_KEYS = {"name", "language"}

#: Languages that have no singular (CLDR).
LANGUAGES_WITHOUT_SINGULAR = {"ja"}

#: How a text's key ends that depends on a number.
PLURAL_SUFFIX = re.compile("_(one|other)$")

DISPLAY_FOLDER = Path(display.__file__).parent

#: How keys begin that pages compute: guest texts, console texts.
COMPUTED_KEYS = (
    ("refused_", "link_", "map_", "print_"),
    (
        *("state_", "stage_", "part_", "scored_", "standing_", "kind_", "which_", "content_", "layout_"),
        *("range_", "origin_", "guest_", "cause_", "print_asked_", "print_standing_", "event_", "theme_", "logo_"),
        *("canary_", "compared_"),
    ),
)


@pytest.mark.parametrize("get_texts", [get_guest_texts, get_console_texts])
def test_what_is_not_spoken_falls_back(get_texts: Callable[[str], dict[str, str]]) -> None:
    assert get_texts("xx") == get_texts(DEFAULT_LANGUAGE)
    assert get_texts("de-AT") == get_texts("de")
    assert get_texts("DE")["language"] == "de"
    assert get_texts("../de")["language"] == DEFAULT_LANGUAGE
    assert get_texts("de").keys() == get_texts(DEFAULT_LANGUAGE).keys()


def test_a_console_without_a_translation_says_that_it_is_english() -> None:
    assert get_console_texts("fr")["language"] == DEFAULT_LANGUAGE
    assert get_guest_texts("fr")["language"] == "fr"


@pytest.mark.parametrize(
    ("query", "accepted", "default", "expected"),
    [
        ("", "de-AT,de;q=0.9,en;q=0.8", "en", "de"),
        ("", "sv-SE,en;q=0.7,de;q=0.3", "de", "en"),
        ("", "sv, fi;q=0.5", "de", "de"),
        ("", "pt-BR,pt;q=0.9,en;q=0.8", "en", "pt"),
        ("", "ja", "en", "ja"),
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


@pytest.mark.parametrize("language", sorted(TRANSLATIONS))
def test_guests_read_everything_in_their_language(language: str) -> None:
    guest_texts, console_texts = TRANSLATIONS[language]
    assert find_missing_texts(language, guest_texts, TRANSLATIONS[DEFAULT_LANGUAGE][0]) == set()
    if console_texts:
        assert find_missing_texts(language, console_texts, TRANSLATIONS[DEFAULT_LANGUAGE][1]) == set()


def test_guests_are_addressed_in_one_way_in_german() -> None:
    """Seen failing: the mirror said “Sie” to those to whom all other pages say “du”."""
    formal = re.compile(r"\b(Sie|Ihnen|Ihre?[mnrs]?)\b")
    assert [key for key, text in TRANSLATIONS["de"][0].items() if formal.search(text)] == []


def find_missing_texts(language: str, texts: Mapping[str, str], original: Mapping[str, str]) -> set[str]:
    needed = original.keys() - UNTRANSLATED_KEYS
    if language in LANGUAGES_WITHOUT_SINGULAR:
        needed = {key for key in needed if not key.endswith("_one")}
    return needed - texts.keys()


@pytest.mark.parametrize("part", [0, 1])
def test_a_translation_fills_in_what_the_original_does(part: int) -> None:
    original = TRANSLATIONS[DEFAULT_LANGUAGE][part]
    for language, texts in TRANSLATIONS.items():
        for key, text in texts[part].items():
            placeholders, expected = (set(re.findall(r"\{\w+\}", each)) for each in (text, original[key]))
            if key.endswith("_one"):  # may say “one” instead
                placeholders, expected = placeholders - {"{count}"}, expected - {"{count}"}
            assert placeholders == expected, (language, key)


@pytest.mark.parametrize("part", [0, 1])
def test_every_text_is_used_and_every_text_that_is_used_is_there(part: int) -> None:
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for path in DISPLAY_FOLDER.rglob("*")
        if path.suffix in {".py", ".js", ".html"}
        and "i18n" not in path.parts
        and ("console" in path.parts or part == 0)
    )
    keys = TRANSLATIONS[DEFAULT_LANGUAGE][part].keys() - {"name", "language"}
    names = {PLURAL_SUFFIX.sub("", key) for key in keys}
    unused = {name for name in names if not re.search(rf"\b{re.escape(name)}\b", sources)}
    assert {name for name in unused if not name.startswith(COMPUTED_KEYS[part])} == set()
    used = set(re.findall(r"texts(?:\.|\[[\"'])([a-z_]+)\b(?![(\[])", sources)) - {"language", "name", "get", "pop"}
    assert used - TRANSLATIONS[DEFAULT_LANGUAGE][0].keys() - TRANSLATIONS[DEFAULT_LANGUAGE][1].keys() == set()


def test_guests_have_a_text_for_each_cause_of_a_refusal() -> None:
    assert {f"refused_{code}" for code in RefusalCode} <= get_guest_texts().keys()


def test_the_console_has_a_word_for_all_that_it_lists() -> None:
    keys = [f"part_{part}" for part in Component] + [f"stage_{stage}" for stage in Stage]
    keys += [f"standing_{visibility}" for visibility in Visibility]
    keys += [f"content_{content}" for content in Content] + [f"layout_{layout}" for layout in Layout]
    keys += [f"origin_{origin}" for origin in Origin] + [f"cause_{cause}" for cause in (*RefusalCode, OTHER_CAUSE)]
    keys += [f"event_{field}" for field in Appearance.model_fields] + [f"theme_{theme}" for theme in Theme]
    assert set(keys) <= get_console_texts().keys()
