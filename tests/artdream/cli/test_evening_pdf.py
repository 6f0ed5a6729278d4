"""`artdream contact-sheet`: what an evening's guests saw, on paper, and nothing that they may not see."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2
import pytest

from shared.provenance.embedding import read_statement
from shared.provenance.statement import Statement
from shared.settings import Settings
from shared.storage.object_names import RUNTIME_SETTINGS_NAME, dream_name
from shared.storage.sidecar import Visibility
from shared.storage.store import Store
from tests.evenings import BLUE, GREEN, PHOTO_COLOR, RED, YELLOW, Color, store_dream
from tests.stack import run_in_process


@pytest.fixture
def make(settings: Settings, tmp_path: Path) -> Callable[..., str]:
    """Make the contact sheet `tmp_path/sheet.pdf`, and return what is printed."""

    def make(*options: str) -> str:
        environment = settings.to_environment()
        completed = run_in_process("contact-sheet", "sheet.pdf", *options, folder=tmp_path, environment=environment)
        assert completed.returncode == 0, completed.stderr
        return completed.stdout

    return make


def has_color(page: pypdfium2.PdfPage, color: Color) -> bool:
    """Return whether a part of a page has about this color."""
    pixels = np.asarray(page.render(scale=1).to_pil().convert("RGB")).astype(int)
    return bool((np.abs(pixels - color).max(axis=-1) < 12).sum() > 500)


def test_photos_and_dreams_of_the_evening_are_on_numbered_pages_with_text(
    store: Store, make: Callable[..., str], tmp_path: Path
) -> None:
    for number in range(9):
        store_dream(store, number, RED if number < 8 else GREEN, size=(96, 72) if number % 2 else (60, 90))
    store_dream(store, 9, YELLOW, visibility=Visibility.HIDDEN)
    assert "9 dreams on 2 pages" in make("--title", "Lange Nacht für Łódź", "--subtitle", "„Träume“")
    assert read_statement((tmp_path / "sheet.pdf").read_bytes()) == Statement.of_collection("Lange Nacht für Łódź")
    with pypdfium2.PdfDocument(tmp_path / "sheet.pdf") as document:
        first, second = document
        texts = [page.get_textpage().get_text_bounded() for page in (first, second)]
        for number, text in enumerate(texts, 1):
            assert "Lange Nacht für Łódź" in text
            assert "„Träume“" in text
            assert f"{number}" in text.splitlines()
        assert [text.count("Flowing lines") for text in texts] == [8, 1]
        assert first.get_size() == pytest.approx((595.28, 841.89), abs=0.1)
        assert [has_color(first, color) for color in (PHOTO_COLOR, RED, GREEN, YELLOW)] == [True, True, False, False]
        assert [has_color(second, color) for color in (PHOTO_COLOR, RED, GREEN, YELLOW)] == [True, False, True, False]


def test_a_contact_sheet_has_the_title_of_its_event(store: Store, make: Callable[..., str], tmp_path: Path) -> None:
    store_dream(store, 0, BLUE)
    store.put(RUNTIME_SETTINGS_NAME, json.dumps({"appearance_default": {"title": "Vernissage"}}).encode())
    make()
    with pypdfium2.PdfDocument(tmp_path / "sheet.pdf") as document:
        assert "Vernissage" in document[0].get_textpage().get_text_bounded()


def test_a_dream_whose_picture_is_damaged_is_left_out_of_the_sheet(
    store: Store, make: Callable[..., str], tmp_path: Path
) -> None:
    jobs = [store_dream(store, number, color) for number, color in enumerate((RED, GREEN))]
    store.put(dream_name(jobs[0].id), b"no picture")
    assert "A dream is left out" in make()
    with pypdfium2.PdfDocument(tmp_path / "sheet.pdf") as document:
        assert document[0].get_textpage().get_text_bounded().count("Flowing lines") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sheet.jpg"], "end sheet.jpg with .pdf"),
        (["none/sheet.pdf"], "does not exist: create it first"),
        (["sheet.pdf", "--since", "2040-01-01"], "There is no dream to show"),
        (["sheet.pdf", "--font", "no.txt"], "is no font that can be used"),
        (["folder.pdf"], "folder.pdf cannot be written"),
    ],
)
def test_what_a_contact_sheet_cannot_be_made_of_is_said_in_a_sentence(
    settings: Settings, store: Store, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    store_dream(store, 0, RED)
    tmp_path.joinpath("no.txt").write_text("no font")
    tmp_path.joinpath("folder.pdf").mkdir()
    completed = run_in_process("contact-sheet", *arguments, folder=tmp_path, environment=settings.to_environment())
    assert completed.returncode
    assert sentence in completed.stderr.replace("\n", " ")
    assert not [*tmp_path.glob("*.draft"), *tmp_path.glob(".*.draft")]
