"""Programs follow their jobs to the dream, see nothing of others', and cancel and repeat them."""

import hashlib

from display.moderation import Moderation
from display.state.dream_index import Dream, DreamIndex
from shared.api.jobs import record_refusal
from shared.api.keys import Scope
from shared.jobs.job import Job, Lane
from shared.jobs.refusal import RefusalCause
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import photo_name
from shared.storage.sidecar import read_sidecar
from tests.display.api.conftest import MakeProgram, Program
from tests.display.fake_pipeline import FakePipeline, make_circle_jpeg
from tests.waiting import wait_until

RECIPE = load_recipe("curls")


def submit(program: Program, pipeline: FakePipeline, color: int, lane: Lane = Lane.LIVE) -> Job:
    """Submit a photo, and queue its job as the producer does."""
    photo = pipeline.make_photo((color, color, 10))
    assert program.submit(photo, lane=lane).status == 202
    pipeline.store.put(photo_name(hashlib.sha256(photo).hexdigest()), photo)
    return pipeline.submit_photo((color, color, 10), recipe=RECIPE, lane=lane)


def test_a_job_is_followed_from_the_queue_to_its_dream(program: Program, pipeline: FakePipeline) -> None:
    job = submit(program, pipeline, 1)

    def get() -> dict[str, object]:
        return dict(program.call("GET", f"/jobs/{job.id}").json)

    wait_until(lambda: get()["ahead"] is not None, "the display knows that it waits")
    assert get()["state"] == "queued"
    claim = pipeline.claim_job(job)
    pipeline.publish_frame(claim, 1)
    wait_until(lambda: get()["fraction"] == 0.4, "the display knows how far it is")
    assert (get()["state"], get()["links"]) == ("started", None)
    pipeline.complete_job(claim)
    wait_until(lambda: get()["state"] == "completed", "the dream is there")
    links = get()["links"]
    assert isinstance(links, dict)
    assert links["page"] is None  # phones cannot reach this display
    base = f"http://127.0.0.1:{program.port}"
    assert links["dream"].startswith(f"{base}/t/")
    nobody = Program(program.port, "")
    assert nobody.call("GET", links["dream"].removeprefix(base)).headers["Content-Type"] == "image/jpeg"
    assert nobody.call("GET", links["photo"].removeprefix(base)).status == 200
    assert nobody.call("GET", links["clip"].removeprefix(base)).status == 404


def test_a_key_sees_its_own_jobs_only_unless_it_may_see_all(make_program: MakeProgram, pipeline: FakePipeline) -> None:
    first, second, overseer = make_program(), make_program(), make_program(Scope.READ, Scope.ALL)
    jobs = [submit(first, pipeline, 2), submit(second, pipeline, 3)]
    guest = pipeline.submit_photo((9, 9, 9))
    for program, own in ((first, jobs[:1]), (second, jobs[1:])):
        assert [job["id"] for job in program.call("GET", "/jobs").json["jobs"]] == [job.id for job in own]
        for job in (*jobs, guest):
            answer = program.call("GET", f"/jobs/{job.id}")
            assert answer.status == (200 if job in own else 404)
            for action in ("cancel", "retry"):
                assert job in own or program.call("POST", f"/jobs/{job.id}/{action}").problem == "job-not-found"
    listed = [job["id"] for job in overseer.call("GET", "/jobs").json["jobs"]]
    assert listed[:2] == [job.id for job in reversed(jobs)]
    assert guest.id not in listed
    assert overseer.call("GET", f"/jobs/{jobs[0].id}").status == 200


def test_pages_list_every_job_once_also_while_new_ones_come(make_program: MakeProgram, pipeline: FakePipeline) -> None:
    program = make_program()
    ids = [submit(program, pipeline, color).id for color in range(10, 17)]
    listed, path = list[str](), "/jobs?limit=3"
    for color in range(20, 30):
        page = program.call("GET", path).json
        assert len(page["jobs"]) <= 3
        listed += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        path = f"/jobs?limit=3&cursor={page['next']}"
        submit(program, pipeline, color)
    assert listed == ids[::-1]


def test_a_job_is_cancelled_and_tried_again(program: Program, pipeline: FakePipeline) -> None:
    job = submit(program, pipeline, 40)
    assert program.call("POST", f"/jobs/{job.id}/retry").problem == "job-not-failed"
    cancelled = program.call("POST", f"/jobs/{job.id}/cancel")
    assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")
    assert program.call("POST", f"/jobs/{job.id}/cancel").problem == "job-ended"
    again = program.call("POST", f"/jobs/{job.id}/retry")
    assert (again.status, again.json["state"]) == (202, "queued")
    assert again.headers["RateLimit"].startswith('"submit";r=998;')
    assert program.call("POST", f"/jobs/{job.id}/retry").problem == "job-not-failed"
    assert program.submit(make_circle_jpeg((41, 41, 41)), client_id="decoding").json["state"] == "received"
    assert program.call("POST", "/jobs/decoding/cancel").problem == "job-not-queued"


def test_a_job_whose_photo_is_gone_is_not_tried_again(program: Program, pipeline: FakePipeline) -> None:
    """Seen failing: it was queued, and failed."""
    job = submit(program, pipeline, 42)
    program.call("POST", f"/jobs/{job.id}/cancel")
    pipeline.store.delete(photo_name(job.photo_id))
    again = program.call("POST", f"/jobs/{job.id}/retry")
    assert (again.status, again.problem) == (404, "photo-not-found")
    assert program.call("GET", f"/jobs/{job.id}").json["state"] == "cancelled"


def test_a_photo_that_the_producer_refuses_ends_with_the_reason(program: Program, pipeline: FakePipeline) -> None:
    photo = make_circle_jpeg((42, 42, 42))
    job_id = program.submit(photo, client_id="damaged").json["id"]
    record_refusal(pipeline.client, job_id, "is damaged: a part is missing", RefusalCause("damaged"))
    job = program.call("GET", "/jobs/damaged").json
    assert (job["state"], job["reason"], job["cause"]) == ("refused", "is damaged: a part is missing", "damaged")
    assert program.submit(photo, client_id="damaged").json["state"] == "refused"
    assert program.call("POST", "/jobs/damaged/cancel").problem == "job-ended"
    assert program.submit(photo).json["state"] == "received"  # who sends it again, hopes


def test_nothing_of_a_dream_that_is_held_hidden_or_deleted_is_given_out(
    program: Program, pipeline: FakePipeline, api_settings: Settings
) -> None:
    update_runtime_settings(pipeline.client, approval=True)
    job = submit(program, pipeline, 43)
    pipeline.complete_job(pipeline.claim_job(job))
    update_runtime_settings(pipeline.client, approval=False)

    def has_state(state: str) -> bool:
        answer = program.call("GET", f"/jobs/{job.id}").json
        return bool(answer["state"] == state and (answer["links"] is not None) == (state == "completed"))

    wait_until(lambda: has_state("held"), "the program sees that it waits for approval")
    sidecar = read_sidecar(pipeline.store, job.id)
    assert sidecar
    index = DreamIndex()
    index.put(Dream.from_sidecar(sidecar))
    moderation = Moderation(api_settings, index)
    moderation.show(job.id)
    wait_until(lambda: has_state("completed"), "the dream is given out")
    moderation.hide(job.id)
    wait_until(lambda: has_state("gone"), "it is no longer")
    moderation.show(job.id)
    wait_until(lambda: has_state("completed"), "it is again")
    moderation.delete(job.id)
    wait_until(lambda: has_state("gone"), "it never will be")


def test_a_job_is_still_its_key_s_when_the_broker_has_been_wiped(program: Program, pipeline: FakePipeline) -> None:
    job = submit(program, pipeline, 44)
    owned = job.model_copy(update={"seed": 1, "submitter": program.key.split("_")[1]})
    JobTable(pipeline.client).accept(owned)  # as the producer does with what the broker has lost
    assert program.call("GET", f"/jobs/{owned.id}").json["state"] == "queued"
