"""Jobs on their way between versions of ArtDream, whose models refuse fields that they do not know."""

import json
from pathlib import Path

import pytest

import tests.e2e
from shared.jobs.job import Job
from shared.recipe.recipe import load_recipe
from shared.storage.sidecar import Sidecar

#: What an earlier version wrote; `tests/e2e/test_upgrade.py` says how.
RECORDED = Path(tests.e2e.__file__).with_name("recorded")

RECORDED_JOBS = [
    line
    for file in RECORDED.glob("broker/appendonlydir/*.base.aof")
    for line in file.read_text(errors="replace").splitlines()
    if line.startswith('{"version":1,"photo_id":')
]


@pytest.mark.parametrize("text", RECORDED_JOBS, ids=lambda text: json.loads(text)["photo_id"][:8])
def test_a_job_that_uses_nothing_new_is_written_as_an_earlier_version_wrote_it(text: str) -> None:
    """So a worker of that version reads it. Seen failing while every field of a recipe was written."""
    assert Job.model_validate_json(text).model_dump_json() == text


def test_a_recipe_that_uses_nothing_new_is_stored_as_an_earlier_version_stored_it() -> None:
    """So a display of that version reads the sidecar."""
    for file in RECORDED.glob("store/dreams/*/dream.json"):
        stored = file.read_bytes()
        written = Sidecar.model_validate_json(stored).model_dump(mode="json")
        assert written["recipe"] == json.loads(stored)["recipe"]


def test_a_new_field_that_a_job_uses_is_written() -> None:
    job = Job(photo_id="ab" * 32, recipe=load_recipe("more-paul-klee"))
    assert Job.model_validate_json(job.model_dump_json()) == job
    recipe = json.loads(job.model_dump_json())["recipe"]
    assert recipe["size"] == 1536
    assert recipe["ascent"]["parameterisation"] == "pyramid"
