"""Evenings of small dreams in a store: each is one color, which a test finds again in what is made of them."""

from PIL import Image

from shared.jobs.job import Job
from shared.recipe.recipe import load_recipe
from shared.storage.object_names import dream_name, frame_name, photo_name, sidecar_name, thumb_name
from shared.storage.sidecar import Visibility
from shared.storage.store import Store
from tests.pictures import encode_jpeg
from tests.sidecars import make_sidecar

Color = tuple[int, int, int]

#: Epoch seconds of the first dream.
FIRST_DREAM_AT = 1_790_000_000.0

#: Color of every photo, and those of dreams.
PHOTO_COLOR: Color = (120, 120, 120)
RED, GREEN, BLUE, YELLOW = (200, 30, 30), (30, 180, 30), (30, 30, 200), (200, 190, 30)


def store_dream(
    store: Store,
    number: int,
    color: Color,
    *,
    size: tuple[int, int] = (96, 72),
    visibility: Visibility = Visibility.SHOWN,
) -> Job:
    """Store the dream with a number, made a minute after the one before, as a worker does; return its job."""
    job = Job(photo_id=f"{number:064x}", recipe=load_recipe("lines"))
    between = Image.blend(Image.new("RGB", size, PHOTO_COLOR), Image.new("RGB", size, color), 0.5)
    store.put(photo_name(job.photo_id), encode_jpeg(Image.new("RGB", size, PHOTO_COLOR)))
    store.put(frame_name(job.id, 0), encode_jpeg(between))
    for name in (dream_name(job.id), thumb_name(job.id)):
        store.put(name, encode_jpeg(Image.new("RGB", size, color)))
    set_visibility(store, job, number, visibility)
    return job


def set_visibility(store: Store, job: Job, number: int, visibility: Visibility) -> None:
    """Write the sidecar of the dream with a number, as the display does when the operator hides it."""
    sidecar = make_sidecar(job, standing=visibility, completed_at=FIRST_DREAM_AT + 60 * number, size=(96, 72))
    store.put(sidecar_name(job.id), sidecar.model_dump_json().encode())
