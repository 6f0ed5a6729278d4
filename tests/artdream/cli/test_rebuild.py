"""`artdream rebuild`: restore a wiped broker from the store and the local ledger."""

import redis

from producer.outbox.submission import SubmissionClient
from shared.jobs.job import Job, State
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.runtime_settings import persist_runtime_settings, read_runtime_settings, update_runtime_settings
from shared.settings import Settings
from shared.storage.deletion import write_tombstone
from shared.storage.object_names import sidecar_name
from shared.storage.sidecar import Visibility
from shared.storage.store import Store
from tests.pictures import encode_jpeg, make_picture
from tests.sidecars import make_sidecar
from tests.stack import run_in_process

RECIPE = load_recipe("lines")


def test_dreams_deletions_runtime_settings_and_unfinished_jobs_come_back(
    settings: Settings, client: redis.Redis, store: Store
) -> None:
    shown, hidden, deleted, waiting = (Job(photo_id=f"{number:064x}", recipe=RECIPE) for number in range(4))
    for job, visibility in ((shown, Visibility.SHOWN), (hidden, Visibility.HIDDEN)):
        store.put(sidecar_name(job.id), make_sidecar(job, standing=visibility).model_dump_json().encode())
    store.put(sidecar_name("0" * 32), b"of a later version")
    write_tombstone(store, deleted.id)
    with SubmissionClient(settings) as submission:
        submission.submit(waiting, encode_jpeg(make_picture(1)))
    update_runtime_settings(client, approval=True, recipes=("lines",))
    persist_runtime_settings(client, store)
    client.flushall()
    environment = {"ARTDREAM_BROKER_URL": settings.broker, "ARTDREAM_DATA": str(settings.data)}
    completed = run_in_process("rebuild", folder=settings.data, environment=environment)
    assert completed.returncode == 0, completed.stderr
    assert "dreams 1, hidden dreams 1, deletions 1, unfinished jobs 1" in completed.stdout
    table = JobTable(client)
    ids = [job.id for job in (shown, hidden, deleted, waiting)]
    assert table.get_states(ids) == [State.COMPLETED, State.COMPLETED, State.DELETED, State.QUEUED]
    assert table.are_not_visible(ids[:3]) == [False, True, True]
    runtime_settings = read_runtime_settings(client, settings)
    assert (runtime_settings.approval, runtime_settings.recipes) == (True, ("lines",))
    repeated = run_in_process("rebuild", folder=settings.data, environment=environment)
    assert "dreams 0, hidden dreams 0, deletions 0, unfinished jobs 0" in repeated.stdout
