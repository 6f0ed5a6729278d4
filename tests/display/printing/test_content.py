"""The content of a sheet: what is damaged in the store is left out, and only what a store should have is decoded."""

import io

import pytest
from PIL import Image

from display.printing.content import UnprintableDream, load_content
from shared.appearance import Appearance
from shared.jobs.job import Job
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from shared.storage.object_names import dream_name, logo_name, photo_name
from shared.storage.store import Store
from tests.sidecars import make_sidecar

JOB = Job(photo_id="5" * 64, recipe=load_recipe("lines"))
LOGO = logo_name("0" * 64)


def encode(kind: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (60, 40), (230, 20, 60)).save(data, kind)
    return data.getvalue()


def test_a_sheet_has_dream_photo_and_logo(settings: Settings, store: Store) -> None:
    for name, kind in ((dream_name(JOB.id), "JPEG"), (photo_name(JOB.photo_id), "JPEG"), (LOGO, "PNG")):
        store.put(name, encode(kind))
    content = load_content(settings, store, make_sidecar(JOB), Appearance(logo=LOGO))
    assert content.dream.size == (60, 40)
    assert content.photo
    assert content.logo


@pytest.mark.parametrize("kind", ["EPS", "TIFF", "PPM"])
def test_other_formats_are_not_decoded_whoever_has_put_them_into_the_store(
    settings: Settings, store: Store, kind: str
) -> None:
    store.put(dream_name(JOB.id), encode("JPEG"))
    for name in (photo_name(JOB.photo_id), LOGO):
        store.put(name, encode(kind))
    content = load_content(settings, store, make_sidecar(JOB), Appearance(logo=LOGO))
    assert (content.photo, content.logo) == (None, None)
    store.put(dream_name(JOB.id), encode(kind))
    with pytest.raises(UnprintableDream):
        load_content(settings, store, make_sidecar(JOB), Appearance())
