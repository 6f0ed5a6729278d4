"""Webhooks: each event has one effect, a dead endpoint delays no other, and hidden dreams are not sent."""

import socket
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from standardwebhooks import WebhookVerificationError

from display.pages.share_links import ShareLinks
from display.webhooks.deliverer import run
from display.webhooks.follower import EventFollower
from display.webhooks.request import RequestFailed, post
from display.webhooks.sender import EndpointSender
from display.webhooks.signing import derive_secret, format_secret
from shared.api.jobs import ApiJobs
from shared.errors import ArtDreamError
from shared.jobs.events import Hidden, RuntimeSettingsChanged, Shown
from shared.jobs.job import Job
from shared.jobs.table import JobTable
from shared.redis_keys import STREAM
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.deletion import delete_dream_objects
from shared.storage.object_names import sidecar_name, webhook_mark_name, webhook_name
from shared.storage.sidecar import Sidecar, Visibility, read_sidecar
from shared.storage.store import Store
from shared.webhooks.endpoints import Endpoints
from shared.webhooks.overview import read_webhook_overview
from shared.webhooks.table import DeliveryTable, MessageType, Outcome
from tests.display.fake_pipeline import FakePipeline
from tests.display.webhooks.conftest import FAST, PATIENT, DelivererRunner, EndpointMaker
from tests.display.webhooks.receiver import Receiver, verify
from tests.redis_server import CertificateAuthority
from tests.stack import free_port
from tests.waiting import wait_until


def set_visibility(pipeline: FakePipeline, job: Job, visibility: Visibility) -> None:
    """Show or hide a dream as the console does."""
    sidecar = read_sidecar(pipeline.store, job.id)
    assert sidecar
    write_sidecar(pipeline.store, sidecar.model_copy(update={"standing": visibility}))
    table = JobTable(pipeline.client)
    if visibility is Visibility.SHOWN:
        completed, at = sidecar.to_completed_event(), sidecar.completed_at
        assert table.show(Shown(job_id=job.id, photo_id=job.photo_id, completed=completed, dreamt_at=at))
    else:
        assert table.hide(Hidden(job_id=job.id, photo_id=job.photo_id))


def write_sidecar(store: Store, sidecar: Sidecar) -> None:
    store.put(sidecar_name(sidecar.job_id), sidecar.model_dump_json().encode())


def fail_job(pipeline: FakePipeline, color: tuple[int, int, int]) -> Job:
    job = pipeline.submit_photo(color)
    pipeline.fail_job(pipeline.claim_job(job))
    return job


def test_a_completed_and_a_failed_job_are_told_once_signed_and_as_the_api_describes_them(
    settings: Settings,
    client: redis.Redis,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    running_deliverer: DelivererRunner,
) -> None:
    before = pipeline.add_dream((20, 90, 30))
    endpoint = add_endpoint(receiver.url)
    with running_deliverer():
        dream, failed = pipeline.add_dream((40, 90, 30)), fail_job(pipeline, (60, 90, 30))
        wait_until(lambda: len(receiver.requests) >= 2, "both are told")
        wait_until(lambda: DeliveryTable(client).count(endpoint.id).delivered == 2, "both are recorded")
    assert before.id not in receiver.jobs
    assert set(receiver.ids.values()) == {1}
    contents = {request.data["id"]: verify(request, _secret_of(settings, endpoint.id)) for request in receiver.requests}
    completed, failure = contents[dream.id], contents[failed.id]
    assert (completed["type"], completed["data"]["state"]) == ("dream.completed", "completed")
    assert completed["data"]["recipe"] == dream.recipe.name
    token = completed["data"]["links"]["dream"].split("/t/")[1].partition("/")[0]
    link = ShareLinks(settings).parse_token(token)
    assert link
    assert link.job_id == dream.id
    assert (failure["type"], failure["data"]["state"]) == ("dream.failed", "failed")
    assert failure["data"]["reason"] == "It cannot be dreamt."
    assert failure["data"]["links"] is None
    assert max(len(request.body) for request in receiver.requests) < 20_000
    for request in receiver.requests:
        with pytest.raises(WebhookVerificationError):
            verify(
                request._replace(body=request.body.replace(b"dream", b"dreams", 1)), _secret_of(settings, endpoint.id)
            )
        with pytest.raises(WebhookVerificationError):  # another endpoint's secret
            verify(request, _secret_of(settings, "0" * 16))


def _secret_of(settings: Settings, endpoint_id: str) -> str:
    return format_secret(derive_secret(ShareLinks(settings), endpoint_id))


def test_a_dream_is_told_once_it_is_shown_and_not_again_and_a_deleted_one_never(
    client: redis.Redis,
    store: Store,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    running_deliverer: DelivererRunner,
) -> None:
    update_runtime_settings(client, approval=True)
    endpoint = add_endpoint(receiver.url)
    held, deleted = pipeline.add_dream((20, 90, 30)), pipeline.add_dream((40, 90, 30))
    for job in (held, deleted):
        sidecar = read_sidecar(store, job.id)
        assert sidecar
        write_sidecar(store, sidecar.model_copy(update={"standing": Visibility.HELD}))
    set_visibility(pipeline, deleted, Visibility.SHOWN)
    assert JobTable(client).delete(deleted.id, deleted.photo_id)
    delete_dream_objects(store, deleted.id)
    with running_deliverer():
        first = fail_job(pipeline, (60, 90, 30))
        wait_until(lambda: first.id in receiver.jobs, "an event after them is told")
        assert held.id not in receiver.jobs
        set_visibility(pipeline, held, Visibility.SHOWN)
        wait_until(lambda: held.id in receiver.jobs, "it is told once it is shown")
        mark = webhook_mark_name(held.id, endpoint.id)
        wait_until(lambda: store.get(mark) is not None, "the store has a mark of it")
        set_visibility(pipeline, held, Visibility.HIDDEN)
        set_visibility(pipeline, held, Visibility.SHOWN)
        client.delete(f"artdream:webhook_done:{endpoint.id}")  # as after a long time
        set_visibility(pipeline, held, Visibility.HIDDEN)
        set_visibility(pipeline, held, Visibility.SHOWN)
        last = fail_job(pipeline, (80, 90, 30))
        wait_until(lambda: last.id in receiver.jobs, "an event after that is told")
    assert receiver.jobs == {held.id: 1, first.id: 1, last.id: 1}
    assert set(receiver.ids.values()) == {1}


def test_a_dream_that_is_hidden_while_its_endpoint_fails_is_withdrawn_until_it_is_shown(
    client: redis.Redis,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    running_deliverer: DelivererRunner,
) -> None:
    endpoint = add_endpoint(receiver.url)
    receiver.status = 500
    with running_deliverer(PATIENT):
        job = pipeline.add_dream((20, 90, 30))
        wait_until(lambda: receiver.requests, "it is tried")
        set_visibility(pipeline, job, Visibility.HIDDEN)
        wait_until(lambda: DeliveryTable(client).count(endpoint.id).waiting == 0, "it is withdrawn")
        receiver.status = 200
        tried = len(receiver.requests)
        set_visibility(pipeline, job, Visibility.SHOWN)
        wait_until(lambda: DeliveryTable(client).count(endpoint.id).delivered == 1, "it is delivered")
    assert len(receiver.requests) == tried + 1
    assert len(receiver.ids) == 1


def test_endpoints_that_are_dead_hang_or_drip_delay_neither_the_others_nor_the_stream(
    client: redis.Redis,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    running_deliverer: DelivererRunner,
) -> None:
    with Receiver() as hanging, Receiver() as dripping:
        hanging.delay, dripping.drips = 60.0, True
        others = [add_endpoint(url) for url in (f"http://127.0.0.1:{free_port()}/", hanging.url, dripping.url)]
        healthy = add_endpoint(receiver.url)
        with running_deliverer():
            started = time.monotonic()
            jobs = [pipeline.add_dream((20 * n, 90, 30)) for n in range(10)]
            wait_until(lambda: len(receiver.requests) >= len(jobs), "the healthy endpoint has all")
            # Ten messages to any of the others, one after the other, take ten time limits.
            assert time.monotonic() - started < 10 * FAST.attempt_seconds
            table = DeliveryTable(client)
            wait_until(lambda: all(table.count(other.id).error for other in others), "each fault is noted")
            assert table.count(healthy.id).error == ""
            assert receiver.jobs == dict.fromkeys([job.id for job in jobs], 1)
            dead, hung, dripped = (table.count(other.id).error for other in others)
    assert "refused" in dead
    assert "no answer within 3 s" in hung
    assert "no answer within 3 s" in dripped


def test_a_message_is_repeated_with_the_same_id_then_given_up_and_reported(
    client: redis.Redis,
    store: Store,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    running_deliverer: DelivererRunner,
) -> None:
    endpoint = add_endpoint(receiver.url)
    receiver.status = 500
    with running_deliverer():
        job = pipeline.add_dream((20, 90, 30))
        wait_until(lambda: DeliveryTable(client).count(endpoint.id).given_up == 1, "it is given up")
    assert list(receiver.ids.values()) == [1 + len(FAST.retry_seconds)]
    gaps = [after.at - before.at for before, after in pairwise(receiver.requests)]
    assert min(gaps) >= FAST.retry_seconds[0]
    overview = read_webhook_overview(client, store)
    assert (overview.waiting, overview.given_up) == (0, 1)
    assert f"The webhook {endpoint.id} fails. http://127.0.0.1:{receiver.port}: status 500." in overview.problems[0]
    assert "token" not in overview.problems[0]
    assert store.get(webhook_mark_name(job.id, endpoint.id)) is not None


def test_an_endpoint_that_asks_to_wait_is_left_alone_for_so_long(
    pipeline: FakePipeline, receiver: Receiver, add_endpoint: EndpointMaker, running_deliverer: DelivererRunner
) -> None:
    add_endpoint(receiver.url)
    receiver.status, receiver.headers = 429, {"Retry-After": "2"}
    with running_deliverer():
        for n in range(2):
            pipeline.add_dream((20 * n, 90, 30))
        wait_until(lambda: len(receiver.requests) >= 2, "it is asked again")
    assert receiver.requests[1].at - receiver.requests[0].at >= 2


def test_an_endpoint_that_is_gone_is_disabled_beyond_the_loss_of_the_broker(
    client: redis.Redis,
    store: Store,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    running_deliverer: DelivererRunner,
) -> None:
    endpoint = add_endpoint(receiver.url)
    receiver.status = 410
    with running_deliverer():
        pipeline.add_dream((20, 90, 30))
        wait_until(lambda: Endpoints(client, store).find(endpoint.id).disabled, "it is disabled")
        pipeline.add_dream((40, 90, 30))
    client.flushall()
    assert "410" in Endpoints(client, store).find(endpoint.id).disabled
    assert len(receiver.requests) == 1
    assert "is disabled" in read_webhook_overview(client, store).problems[0]


def test_an_endpoint_is_told_of_what_happens_when_the_broker_is_back_with_a_clock_that_is_behind(
    client: redis.Redis,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    running_deliverer: DelivererRunner,
) -> None:
    """Seen failing: it was told of nothing until the clock had caught up with the time at which it was added."""
    seconds, _ = client.time()
    client.xadd(STREAM, {"event": RuntimeSettingsChanged().model_dump_json()}, id=f"{1000 * (seconds + 3600)}-0")
    add_endpoint(receiver.url)
    client.flushall()
    with running_deliverer():
        wait_until(DeliveryTable(client).is_restored, "the store is read")
        pipeline.add_dream((20, 90, 30))
        wait_until(lambda: receiver.requests, "the endpoint is told")


def test_an_endpoint_of_a_key_is_told_of_the_jobs_of_that_key_only(
    client: redis.Redis,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    running_deliverer: DelivererRunner,
) -> None:
    add_endpoint(receiver.url, (MessageType.COMPLETED,), "0" * 16)
    with running_deliverer():
        pipeline.add_dream((20, 90, 30))
        own = pipeline.submit_photo((40, 90, 30))
        ApiJobs(client).register("0" * 16, own)
        pipeline.complete_job(pipeline.claim_job(own))
        wait_until(lambda: receiver.requests, "its own is told")
    assert receiver.jobs == {own.id: 1}


def test_no_redirect_is_followed_and_an_answer_is_read_to_its_limit_only(receiver: Receiver) -> None:
    with Receiver() as other:
        receiver.status, receiver.headers = 307, {"Location": other.url}
        headers = {"webhook-id": "m"}
        answer = post(receiver.url, headers, b'{"type": "t", "data": {}}', seconds=5)
        assert (answer.status, other.requests) == (307, [])


def test_a_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = CertificateAuthority(tmp_path, "authority")
    body = b'{"type": "t", "data": {}}'
    with Receiver(authority.issue_certificate("localhost")) as receiver:
        with pytest.raises(RequestFailed, match="its certificate is not trusted"):
            post(receiver.url, {"webhook-id": "m"}, body, seconds=5)
        assert receiver.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate_path))
        assert post(receiver.url, {"webhook-id": "m"}, body, seconds=5).status == 200
        with pytest.raises(RequestFailed, match="its certificate is not trusted"):  # it is of another name
            post(receiver.url.replace("localhost", "127.0.0.1"), {"webhook-id": "m"}, body, seconds=5)
        assert len(receiver.requests) == 1


def test_a_handshake_that_drips_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                # A record of a handshake that is announced to have 16,000 bytes.
                connection.sendall(b"\x16\x03\x03\x3e\x80")
                while not ended.wait(0.1):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        try:
            with pytest.raises(RequestFailed, match="no answer within 1 s"):
                post(f"https://127.0.0.1:{server.getsockname()[1]}/", {}, b"{}", seconds=1)
            assert time.monotonic() - started < 20  # the record would take 1,600 s
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    "host", ["93.184.215.14", "169.254.169.254", "0.0.0.0", "[::ffff:93.184.215.14]", "[::ffff:169.254.169.254]"]
)
def test_http_leads_to_no_address_outside_of_the_own_network(host: str) -> None:
    with pytest.raises(RequestFailed, match="needs https"):
        post(f"http://{host}/", {}, b"{}", seconds=1)


def test_a_machine_with_another_key_of_the_links_signs_nothing(
    settings: Settings,
    client: redis.Redis,
    store: Store,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    tmp_path: Path,
) -> None:
    endpoint = add_endpoint(receiver.url)
    other = settings.model_copy(update={"data": tmp_path / "other"})
    with pytest.raises(ArtDreamError, match="another key of the links"):
        EndpointSender(other, endpoint, FAST)
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(other, stop, FAST))
    thread.start()
    wait_until(lambda: read_webhook_overview(client, store).problems, "the status says it")
    stop.set()
    thread.join()
    assert "another key of the links" in read_webhook_overview(client, store).problems[0]


def test_no_secret_is_kept_in_broker_or_store(
    settings: Settings, client: redis.Redis, store: Store, receiver: Receiver, add_endpoint: EndpointMaker
) -> None:
    endpoint = add_endpoint(receiver.url)
    secret = _secret_of(settings, endpoint.id)
    kept = str(client.hgetall("artdream:webhooks")) + (store.get(webhook_name(endpoint.id)) or b"").decode()
    assert endpoint.id in kept
    assert secret.removeprefix("whsec_") not in kept
    assert derive_secret(ShareLinks(settings), endpoint.id).hex() not in kept


def test_two_followers_queue_an_event_once_and_a_claim_is_for_one_deliverer(
    client: redis.Redis, store: Store, pipeline: FakePipeline, receiver: Receiver, add_endpoint: EndpointMaker
) -> None:
    endpoint = add_endpoint(receiver.url)
    followers = [EventFollower(client, store, delay=0.0) for _ in range(3)]
    for follower in followers:
        follower.catch_up()
    pipeline.add_dream((20, 90, 30))
    table = DeliveryTable(client)
    assert followers[0].follow(0.01)
    claimed = table.claim(endpoint.id, 0.5)
    assert claimed
    assert followers[1].follow(0.01)
    assert table.claim(endpoint.id, 0.5) is None
    wait_until(lambda: table.claim(endpoint.id, 60), "a claim without an outcome expires")
    # What the first one records now concerns an attempt that is not its own any more, unless it was delivered.
    assert not table.finish(endpoint.id, claimed, Outcome.RETRY, retry_seconds=0.0, error="x")
    assert not table.finish(endpoint.id, claimed, Outcome.GIVEN_UP, error="x")
    assert table.count(endpoint.id).waiting == 1
    assert table.finish(endpoint.id, claimed, Outcome.DELIVERED)
    assert followers[2].follow(0.01)
    assert table.count(endpoint.id).waiting == 0
