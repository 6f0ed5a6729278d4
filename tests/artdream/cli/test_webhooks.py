"""`artdream webhook`: an endpoint is added, tried, listed and removed; its secret is printed once."""

import json
import re

import pytest
import redis
from standardwebhooks import WebhookVerificationError

from artdream.cli.status import read_status
from artdream.cli.webhooks import ListedEndpoint
from shared.api.keys import ApiKeys, Scope
from shared.settings import Settings
from shared.storage.store import Store
from shared.webhooks.endpoints import Endpoints
from tests.display.webhooks.receiver import Receiver, verify
from tests.stack import run_in_process


def test_a_webhook_is_added_tried_listed_and_removed(
    settings: Settings, environment: dict[str, str], client: redis.Redis, store: Store
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        completed = run_in_process("webhook", *arguments, folder=settings.inbox, environment=environment)
        return completed.returncode, completed.stdout, completed.stderr

    key, _ = ApiKeys(client, store).create("kiosk", (Scope.READ,), 1)
    with Receiver() as receiver:
        status, secret, hint = run("add", receiver.url, "--allow-http", "--event", "completed", "--key", "kiosk")
        secret = secret.strip()
        assert (status, re.fullmatch("whsec_[A-Za-z0-9+/]{43}=", secret) is not None) == (0, True)
        assert "not printed again" in hint
        assert "start `artdream webhooks`" in hint
        [listed] = json.loads(run("--json")[1])
        assert set(listed) == set(ListedEndpoint.model_fields)
        assert (listed["url"], listed["types"], listed["key_id"]) == (receiver.url, ["dream.completed"], key.id)
        table = run("list")[1]
        assert listed["id"] in table
        assert secret[6:] not in table
        status, answer, _ = run("test", listed["id"])
        assert (status, answer) == (0, f"http://127.0.0.1:{receiver.port} answered with status 200: ok\n")
        [request] = receiver.requests
        assert verify(request, secret)["type"] == "webhook.test"
        with pytest.raises(WebhookVerificationError):
            verify(request._replace(body=request.body + b" "), secret)
        receiver.status = 500
        assert run("test", listed["id"])[0] == 1
        assert "There is an endpoint with this URL already" in run("add", receiver.url, "--allow-http")[2]
    assert "did not take the message: connection refused" in run("test", listed["id"])[2]
    assert run("remove", listed["id"]) == (0, f"The webhook {listed['id']} is removed.\n", "")
    assert Endpoints(client, store).list_endpoints() == []
    client.flushall()  # and no endpoint is restored that was removed
    assert Endpoints(client, store).list_endpoints() == []
    for arguments, sentence in (
        (("add", "http://booth.example/"), "use https"),
        (("add", "ftp://booth.example/"), "is no URL of a webhook"),
        (("add", "https://user:password@booth.example/"), "has no user"),
        (("add", "https://booth.example/", "--key", "nobody"), "There is no valid key “nobody”"),
        (("remove", "nothing"), "There is no webhook “nothing”"),
    ):
        status, _, error = run(*arguments)
        assert status == 1
        assert sentence in error


def test_status_and_doctor_say_that_a_webhook_is_disabled(
    settings: Settings, environment: dict[str, str], client: redis.Redis, store: Store
) -> None:
    assert run_in_process("webhook", "add", "https://booth.example/", folder=settings.inbox, environment=environment)
    endpoints = Endpoints(client, store)
    [endpoint] = endpoints.list_endpoints()
    endpoints.disable(endpoint, "The endpoint answered 410 (gone).")
    [problem] = read_status(settings).webhooks.problems
    assert problem.startswith(f"The webhook {endpoint.id} is disabled. The endpoint answered 410 (gone).")
    for command in ("status", "doctor"):
        assert problem in run_in_process(command, folder=settings.inbox, environment=environment).stdout
