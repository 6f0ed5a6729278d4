"""An event's appearance: what the event file and the console may say, and what they are told otherwise."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.appearance import Appearance, Theme, read_event_file
from shared.colors import TEXT_CONTRAST, compute_contrast
from shared.errors import ArtDreamError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "evening.toml"


def test_an_event_file_says_how_the_event_looks(path: Path) -> None:
    path.write_text(
        """
        [event]
        title = " Nacht der Träume "
        subtitle = "Städtische Galerie"
        accent = "#E2007A"
        theme = "light"
        text_scale = 1.2
        idle_text = "Schick uns ein Foto"
        consent = "Mein Bild darf gezeigt werden."
        logo = "pictures/house.png"
        """
    )
    (path.parent / "pictures").mkdir()
    (path.parent / "pictures" / "house.png").touch()
    event_file = read_event_file(path)
    assert event_file.logo == path.parent / "pictures" / "house.png"
    assert event_file.appearance == Appearance(
        title="Nacht der Träume",
        subtitle="Städtische Galerie",
        accent="#e2007a",
        theme=Theme.LIGHT,
        text_scale=1.2,
        idle_text="Schick uns ein Foto",
        consent="Mein Bild darf gezeigt werden.",
    )


def test_an_empty_table_changes_nothing(path: Path) -> None:
    path.write_text("[event]\n")
    assert read_event_file(path).appearance == Appearance()
    assert read_event_file(path).logo is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[event]\naccent = 'reddish'", "accent: name a color as #rrggbb, such as #c9a76a (it is 'reddish')."),
        (f"[event]\ntitle = '{'x' * 83}'", "title: it may have at most 60 characters, and has 83."),
        ("[event]\ntitle = 'a\\u0007b'".replace("'", '"'), "title: write it in one line, without control characters"),
        ('[event]\nconsent = """one\ntwo"""', "consent: write it in one line, without control characters"),
        ("[event]\ntitle = 7", "title: Input should be a valid string (it is 7)."),
        ("[event]\ntheme = 'blue'", "theme: name one of 'dark' or 'light' (it is 'blue')."),
        ("[event]\ntext_scale = 3", "text_scale: Input should be less than or equal to 1.5 (it is 3)."),
        ("[event]\nlogo = 'missing.png'", "logo: there is no file "),
        ("[event]\nlogo = 1", "logo: name its file (it is 1)."),
        ("[event]\ntitel = 'x'", "has the unknown key titel. Did you mean title,"),
        ("[evening]\n", "has only the table [event]; remove or rename evening."),
        ("title = 'x'", "has only the table [event]; remove or rename title."),
        ("", "has no table [event]: write that line before the first key."),
        ("event = 1", "has no table [event]"),
        ("[event", "is not valid TOML: "),
        (b"[event]\ntitle = '\xff'", "is not valid TOML: "),
        (None, "cannot be read: No such file or directory."),
    ],
)
def test_a_mistake_in_an_event_file_is_reported_with_its_key_and_reason(
    path: Path, text: str | bytes | None, message: str
) -> None:
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ArtDreamError) as caught:
        read_event_file(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["../steering.json", "photos/x.jpg", "logos/x.png", "logos/" + "a" * 64 + ".svg"])
def test_no_other_object_of_the_store_becomes_a_logo(name: str) -> None:
    with pytest.raises(ValidationError):
        Appearance(logo=name)


@given(accent=st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}"), theme=st.sampled_from(Theme))
def test_every_text_is_readable_with_any_accent_in_both_themes(accent: str, theme: Theme) -> None:
    appearance = Appearance(accent=accent, theme=theme)
    colors = appearance.colors
    for text in (colors.ink, colors.muted, colors.signal, colors.fault_ink, colors.accent):
        assert compute_contrast(text, colors.ground) >= TEXT_CONTRAST
        assert compute_contrast(text, colors.field) >= TEXT_CONTRAST
    assert compute_contrast(colors.field_edge, colors.field) >= 3.0
    assert appearance.is_accent_adjusted == (colors.accent != accent)


@pytest.mark.parametrize("theme", Theme)
def test_the_theme_has_an_accent_of_its_own(theme: Theme) -> None:
    assert not Appearance(theme=theme).is_accent_adjusted
    assert (
        Appearance(theme=theme, accent=Appearance(theme=theme).colors.accent).colors == Appearance(theme=theme).colors
    )
