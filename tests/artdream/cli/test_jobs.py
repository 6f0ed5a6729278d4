"""`artdream jobs`: the jobs as text, and as JSON for programs."""

import json

import pytest
import redis

from artdream.cli.jobs import JobSummary
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import create_celery_app, submit
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from shared.storage.object_names import photo_name
from shared.storage.store import Store
from tests.servers import SshServer
from tests.stack import run_in_process

RECIPE = load_recipe("lines")


@pytest.fixture
def jobs(settings: Settings, client: redis.Redis) -> tuple[Job, Job]:
    """Return a queued and a cancelled job."""
    table, app = JobTable(client), create_celery_app(settings)
    queued, cancelled = (Job(photo_id=f"{n:064x}", recipe=RECIPE, seed=n, lane=Lane.BATCH) for n in (1, 2))
    for job in (queued, cancelled):
        submit(app, table, job)
    table.cancel(cancelled.id)
    return queued, cancelled


@pytest.fixture
def environment(settings: Settings, environment: dict[str, str]) -> dict[str, str]:
    settings.data.mkdir()
    return environment


def test_jobs_are_listed_as_json(jobs: tuple[Job, Job], settings: Settings, environment: dict[str, str]) -> None:
    queued, cancelled = jobs
    completed = run_in_process("jobs", "--json", folder=settings.data, environment=environment)
    assert completed.returncode == 0, completed.stderr
    listed = json.loads(completed.stdout)
    assert [job["id"] for job in listed] == [cancelled.id, queued.id]  # newest first
    assert [set(job) for job in listed] == [set(JobSummary.model_fields)] * 2
    del listed[1]["state_since"]
    assert listed[1] == {
        **{"id": queued.id, "state": "queued", "reason": "", "lane": "batch", "seed": 1, "photo_id": queued.photo_id},
        **{"recipe": "lines", "recipe_version": RECIPE.version, "network": RECIPE.network, "canvas": RECIPE.canvas},
        "stages": {},
    }
    only = run_in_process(
        "jobs", "list", "--state", "cancelled", "--json", folder=settings.data, environment=environment
    )
    assert [job["id"] for job in json.loads(only.stdout)] == [cancelled.id]
    none = run_in_process("jobs", "--state", "failed", "--json", folder=settings.data, environment=environment)
    assert json.loads(none.stdout) == []


def test_a_job_is_shown_as_json(jobs: tuple[Job, Job], settings: Settings, environment: dict[str, str]) -> None:
    shown = run_in_process("jobs", "show", jobs[0].id[:9], "--json", folder=settings.data, environment=environment)
    document = json.loads(shown.stdout)
    assert set(document) == set(JobSummary.model_fields)
    assert (document["id"], document["state"]) == (jobs[0].id, "queued")
    unknown = run_in_process("jobs", "show", "xyz", "--json", folder=settings.data, environment=environment)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == "artdream: No job id begins with “xyz”: `artdream jobs` lists them.\n"


def test_a_cancelled_job_is_queued_again(
    jobs: tuple[Job, Job], settings: Settings, environment: dict[str, str]
) -> None:
    job_id = jobs[1].id
    Store(settings.store).put(photo_name(jobs[1].photo_id), b"a photo")
    retried = run_in_process("jobs", "retry", job_id, folder=settings.data, environment=environment)
    assert retried.stdout == f"Job {job_id[:12]} is queued again.\n"
    again = run_in_process("jobs", "retry", job_id, folder=settings.data, environment=environment)
    assert (again.returncode, again.stderr) == (1, f"artdream: Job {job_id[:12]} did not fail: it is queued.\n")


def test_a_job_whose_photo_is_gone_is_not_queued_again(
    jobs: tuple[Job, Job], client: redis.Redis, settings: Settings, environment: dict[str, str]
) -> None:
    """Seen failing: it was queued, and failed a second time."""
    job_id = jobs[1].id
    retried = run_in_process("jobs", "retry", job_id, folder=settings.data, environment=environment)
    sentence = f"artdream: The photo of job {job_id[:12]} is no longer in the store: send it again.\n"
    assert (retried.returncode, retried.stderr) == (1, sentence)
    assert JobTable(client).get_state(job_id) is State.CANCELLED


def test_a_link_by_the_first_characters_of_an_id_is_found_through_ssh(
    jobs: tuple[Job, Job], settings: Settings, environment: dict[str, str], sshd: SshServer
) -> None:
    """Seen failing: it looked for the broker on this machine. For a whole id, no broker is needed."""
    job_id = jobs[0].id
    login = settings.model_copy(
        update={"ssh": sshd.address, "ssh_key": sshd.key, "ssh_known_hosts": sshd.known_hosts, "public_url": "http://a"}
    )
    environment |= login.to_environment()
    by_prefix = run_in_process("jobs", "link", job_id[:9], folder=settings.data, environment=environment)
    assert by_prefix.stdout.startswith("http://a/"), by_prefix.stderr
    sshd.stop()
    without = run_in_process("jobs", "link", job_id[:9], folder=settings.data, environment=environment)
    assert (without.returncode, without.stdout) == (1, "")
    assert without.stderr.startswith("artdream: The broker is unavailable")
    by_id = run_in_process("jobs", "link", job_id, folder=settings.data, environment=environment)
    assert by_id.stdout.startswith("http://a/"), by_id.stderr
