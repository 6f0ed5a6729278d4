"""Programs submit photos: through the same folder as guests, within the same limits, and each job once."""

import hashlib
import json
from typing import Any

import pytest

from shared.api.keys import Scope
from shared.guest_upload_names import parse_file_name
from shared.jobs.job import Job, Lane, Origin
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from tests.display.api.conftest import BOUNDARY, PHOTO, MakeProgram, Program, encode_form, list_uploads
from tests.display.fake_pipeline import FakePipeline
from tests.pictures import encode_jpeg, make_picture
from tests.unread_message import UNREAD_MESSAGE


def make_photo(seed: int) -> bytes:
    return encode_jpeg(make_picture(seed, (64, 48)))


def test_a_photo_lies_where_those_of_guests_do_with_all_that_was_asked_for(
    make_program: MakeProgram, api_settings: Settings
) -> None:
    program, photo = make_program(Scope.READ, Scope.SUBMIT, Scope.BATCH), make_photo(1)
    answer = program.submit(photo, recipe="night", seed=7, lane="batch")
    job = Job(photo_id=hashlib.sha256(photo).hexdigest(), recipe=load_recipe("night"), seed=7)
    assert answer.status == 202
    assert answer.json | {"submitted_at": ""} == {
        **{"id": job.id, "state": "received", "photo": f"photos/{job.photo_id}.jpg", "recipe": "night", "seed": 7},
        **{"lane": "batch", "submitted_at": "", "fraction": None, "ahead": None, "expected_seconds": None},
        **{"reason": None, "cause": None, "links": None},
    }
    assert answer.headers["Location"] == f"/api/v1/jobs/{job.id}"
    [path] = [path for path in list_uploads(api_settings) if job.id in path.name]
    assert (path.parent.name, path.read_bytes()) == ("night", photo)
    upload = parse_file_name(path.name)
    assert upload
    assert upload[1:] == (job.id, Origin.API, Lane.BATCH, 7)
    assert upload.guest_id in program.key  # its jobs take turns with those of others
    assert program.call("GET", f"/jobs/{job.id}").json == answer.json


def test_the_same_photo_again_is_the_same_job(program: Program, pipeline: FakePipeline) -> None:
    photo = make_photo(2)
    first, second = program.submit(photo), program.submit(photo)
    assert (first.status, second.status) == (202, 202)  # nobody can know yet that the producer has the first one
    assert first.json == second.json
    job = Job(photo_id=hashlib.sha256(photo).hexdigest(), recipe=load_recipe("curls"))
    table = JobTable(pipeline.client)
    table.accept(job, message=UNREAD_MESSAGE)
    third = program.submit(photo)
    assert (third.status, third.json["id"], third.json["state"]) == (200, job.id, "queued")


def test_an_id_of_the_client_s_own_names_one_job(make_program: MakeProgram) -> None:
    program, other, photo = make_program(), make_program(), make_photo(3)
    first = program.submit(photo, client_id="order-1")
    assert program.submit(photo, client_id="order-1").json == first.json
    changes: tuple[dict[str, Any], ...] = ({"photo": make_photo(4)}, {"seed": 1}, {"recipe": "night"})
    for fields in changes:
        refused = program.submit(**{"photo": photo, "client_id": "order-1", **fields})
        assert (refused.status, refused.problem) == (409, "client-id-taken")
    assert program.call("GET", "/jobs/order-1").json == first.json
    assert other.call("GET", "/jobs/order-1").problem == "job-not-found"
    assert other.submit(make_photo(4), client_id="order-1").status == 202


def test_a_job_that_failed_is_queued_again_if_its_photo_is_in_the_store(
    program: Program, pipeline: FakePipeline
) -> None:
    recipe = load_recipe("curls")
    job = pipeline.submit_photo((3, 3, 3), recipe=recipe)
    photo = pipeline.store.get(f"photos/{job.photo_id}.jpg") or b""
    assert program.submit(photo, client_id="failing").json["state"] == "queued"
    pipeline.fail_job(pipeline.claim_job(job))
    repeated = program.submit(photo, client_id="failing")
    assert (repeated.status, repeated.json["state"], repeated.json["reason"]) == (200, "failed", "It cannot be dreamt.")
    again = program.submit(photo)
    assert (again.status, again.json["state"]) == (202, "queued")


def test_a_photo_of_the_store_is_dreamt_without_being_sent(make_program: MakeProgram, pipeline: FakePipeline) -> None:
    program, job = make_program(Scope.READ, Scope.SUBMIT, Scope.STORE), pipeline.submit_photo((4, 4, 4))
    name = f"photos/{job.photo_id}.jpg"
    answer = program.submit_json(photo=name, recipe="night", seed=3)
    assert (answer.status, answer.json["state"], answer.json["photo"]) == (202, "queued", name)
    accepted = JobTable(pipeline.client).get_job(answer.json["id"])
    assert accepted
    assert (accepted.seed, accepted.recipe.name, accepted.origin) == (3, "night", Origin.API)
    assert accepted.submitter in program.key
    assert program.submit_json(photo=name, recipe="night", seed=3).status == 200
    unknown = program.submit_json(photo=f"photos/{'0' * 64}.jpg", recipe="night")
    assert (unknown.status, unknown.problem) == (404, "photo-not-found")


@pytest.mark.parametrize(
    "photo", ["http://127.0.0.1/a.jpg", "file:///etc/passwd", "photos/../steering.json", "dreams/a/dream.jpg", "", 7]
)
def test_nothing_but_a_photo_of_the_store_is_ever_fetched(make_program: MakeProgram, photo: object) -> None:
    answer = make_program(Scope.SUBMIT, Scope.STORE).submit_json(photo=photo, recipe="night")
    assert (answer.status, answer.problem) == (422, "invalid-request")
    assert [error["field"] for error in answer.json["errors"]] == ["body.photo"]


def test_a_key_may_do_what_its_scopes_say(make_program: MakeProgram) -> None:
    reader, submitter = make_program(Scope.READ), make_program(Scope.SUBMIT)
    for answer, scope in (
        (reader.submit(), "submit"),
        (submitter.call("GET", "/jobs"), "read"),
        (submitter.submit(lane="batch"), "batch"),
        (submitter.submit(recipe="deep"), "recipes"),
        (submitter.submit_json(photo=f"photos/{'0' * 64}.jpg", recipe="night"), "store"),
    ):
        assert (answer.status, answer.problem) == (403, "scope-missing")
        assert f"scope “{scope}”" in answer.json["detail"]
    assert make_program(Scope.SUBMIT, Scope.RECIPES).submit(make_photo(5), recipe="deep").status == 202
    unknown = submitter.submit(recipe="depe")
    assert (unknown.status, unknown.problem) == (422, "invalid-request")
    assert "Did you mean deep" in unknown.json["errors"][0]["detail"]


def test_a_quota_counts_what_is_new_and_says_when_to_come_back(make_program: MakeProgram) -> None:
    program = make_program(quota=2)
    first = program.submit(make_photo(6), client_id="a")
    assert first.headers["RateLimit-Policy"] == '"submit";q=2;w=3600'
    assert first.headers["RateLimit"] == '"submit";r=1;t=3600'
    assert program.submit(b"no picture at all").problem == "not-a-picture"
    second = program.submit(make_photo(7))
    assert (second.status, second.headers["RateLimit"].partition(";t=")[0]) == (202, '"submit";r=0')
    refused = program.submit(make_photo(8))
    assert (refused.status, refused.problem) == (429, "quota-exceeded")
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600
    assert program.call("GET", "/jobs/a").status == 200
    assert make_program().submit(make_photo(8)).status == 202


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (encode_form({"recipe": "curls"}, None), "body.photo"),
        (encode_form({}, PHOTO), "body.recipe"),
        (encode_form({"recipe": "curls", "seed": "-1"}, PHOTO), "body.seed"),
        (encode_form({"recipe": "curls", "lane": "fast"}, PHOTO), "body.lane"),
        (encode_form({"recipe": "curls", "size": "1"}, PHOTO), "body.size"),
        (encode_form({"recipe": "c" * 2000}, PHOTO), "body"),
        (encode_form({"recipe": "curls"}, PHOTO)[:-20], "body"),
        (b"recipe=curls", "body"),
        (b"", "body"),
    ],
)
def test_a_form_that_is_wrong_is_refused_with_what_is_wrong(
    program: Program, api_settings: Settings, body: bytes, field: str
) -> None:
    before = list_uploads(api_settings)
    answer = program.call("POST", "/jobs", body, Content_Type=f"multipart/form-data; boundary={BOUNDARY}")
    assert (answer.status, answer.problem) == (422, "invalid-request")
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert list_uploads(api_settings) == before
    assert list((api_settings.data / "guests").glob(".*.part")) == []


def test_what_is_no_photo_is_refused_as_on_the_upload_page(program: Program) -> None:
    too_large = program.submit(PHOTO + bytes(1_000_001))
    assert (too_large.status, too_large.problem) == (413, "too-large")
    assert too_large.json["detail"] == "The photo has more than 1 MB."
    assert program.submit(b"%PDF-1.7 and so on").problem == "not-a-picture"
    assert program.call("POST", "/jobs", b"x", Content_Type="text/plain").problem == "unsupported-media-type"
    assert program.call("POST", "/jobs").problem == "unsupported-media-type"
    for body in (b"{", b"[]", b"null", json.dumps({"photo": 1}).encode()):
        answer = program.call("POST", "/jobs", body, Content_Type="application/json")
        assert answer.problem == "scope-missing"  # before the body is read
