"""The jobs of each key: listed once each, named once each, and forgotten some day."""

import pytest
import redis

from shared.api.jobs import ALL_KEYS, API_JOB_TTL_SECONDS, ApiJobs, RegistrationOutcome, record_refusal
from shared.api.keys import ApiKeys, Scope
from shared.api.quotas import Quotas
from shared.broker.client import connect
from shared.broker.policy import require_secure_url
from shared.jobs.job import Job
from shared.recipe.recipe import load_recipe
from shared.redis_keys import api_jobs_key
from shared.storage.store import Store
from tests.redis_server import RedisServer

KEY, OTHER_KEY = "0" * 16, "1" * 16


@pytest.fixture
def jobs(client: redis.Redis) -> ApiJobs:
    return ApiJobs(client)


def make_job(seed: int) -> Job:
    return Job(photo_id="a" * 64, recipe=load_recipe("lines"), seed=seed)


def test_no_two_jobs_have_the_same_time_and_each_page_begins_after_the_one_before(
    jobs: ApiJobs, client: redis.Redis
) -> None:
    made = [make_job(seed) for seed in range(20)]
    for job in made:
        jobs.register(KEY, job)
    jobs.register(KEY, made[0])  # again: it stays where it was
    client.zadd(api_jobs_key(KEY), {"in the future": 4e9})  # of a broker whose clock was set back
    jobs.register(KEY, make_job(99))
    listed, before = list[str](), None
    while page := jobs.list_page(KEY, 3, before):
        listed += [job_id for job_id, _ in page]
        before = page[-1][1]
    assert listed == [make_job(99).id, "in the future", *(job.id for job in reversed(made))]
    assert jobs.list_page(OTHER_KEY, 3) == []
    assert len(jobs.list_page(ALL_KEYS, 100)) == 21


def test_a_name_means_one_content_for_one_key(jobs: ApiJobs) -> None:
    first, second = make_job(1), make_job(2)
    assert jobs.register(KEY, first, "x") == (RegistrationOutcome.REGISTERED, first.id)
    assert jobs.register(KEY, first, "x") == (RegistrationOutcome.KNOWN, first.id)
    assert jobs.register(KEY, second, "x") == (RegistrationOutcome.CONFLICT, first.id)
    # A recipe of a newer version makes another job of the same content: the name keeps its job.
    newer = first.model_copy(update={"recipe": first.recipe.model_copy(update={"version": 1000})})
    assert jobs.register(KEY, newer, "x") == (RegistrationOutcome.KNOWN, first.id)
    assert jobs.register(OTHER_KEY, second, "x") == (RegistrationOutcome.REGISTERED, second.id)
    assert [jobs.find(key, "x") for key in (KEY, OTHER_KEY)] == [first.id, second.id]
    assert jobs.find(KEY, second.id) is None
    assert jobs.find(KEY, second.id, among_all=True) == second.id


def test_the_documented_permissions_of_the_broker_s_user_suffice(tls_redis: RedisServer, store: Store) -> None:
    url = require_secure_url(tls_redis.url(), ca_file=tls_redis.authority.certificate_path)
    with connect(url) as restricted:
        keys, jobs = ApiKeys(restricted, store), ApiJobs(restricted)
        key, text = keys.create("a", (Scope.READ,), 1)
        assert keys.authenticate(text) == key
        keys.authenticate("artdream_" + "0" * 16 + "_" + "A" * 43)  # restores
        assert Quotas(restricted).take(key).is_granted
        for seed in range(2):
            jobs.register(key.id, make_job(seed), f"x{seed}")
        record_refusal(restricted, make_job(0).id, "is damaged", None)
        assert [job.refusal is not None for job in jobs.read([make_job(0).id, make_job(1).id])] == [True, False]
        assert jobs.find(key.id, "x1") == make_job(1).id
        assert len(jobs.list_page(ALL_KEYS, 9)) == 2
        assert jobs.are_known(key.id, [make_job(0).id, "b" * 32]) == [True, False]
        keys.revoke("a")
        assert keys.authenticate(text) is None


def test_everything_is_forgotten_after_a_month(jobs: ApiJobs, client: redis.Redis) -> None:
    jobs.register(KEY, make_job(1), "x")
    old, at = jobs.list_page(KEY, 1)[0]
    client.zadd(api_jobs_key(KEY), {old: at - API_JOB_TTL_SECONDS - 1})
    jobs.register(KEY, make_job(2), "y")
    assert [job_id for job_id, _ in jobs.list_page(KEY, 9)] == [make_job(2).id]
    keys = list(client.scan_iter("artdream:api_*"))
    assert len(keys) == 6
    assert all(0 < client.ttl(key) <= API_JOB_TTL_SECONDS for key in keys)
