"""`artdream api-key`: a key is printed once, listed without its secret, and revoked."""

import json
import re

import redis

from artdream.cli.api_keys import ListedKey
from shared.api.keys import ApiKeys
from shared.settings import Settings
from shared.storage.store import Store
from tests.stack import run_in_process


def test_a_key_is_created_listed_and_revoked(
    settings: Settings, environment: dict[str, str], client: redis.Redis, store: Store
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        completed = run_in_process("api-key", *arguments, folder=settings.inbox, environment=environment)
        return completed.returncode, completed.stdout, completed.stderr

    status, text, hint = run("create", "kiosk", "--scope", "submit", "--quota", "7/hour")
    assert (status, re.fullmatch("artdream_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\n", text) is not None) == (0, True)
    assert "not printed again" in hint
    key = ApiKeys(client, store).authenticate(text.strip())
    assert key
    assert (key.name, key.scopes, key.quota_per_hour) == ("kiosk", ("submit",), 7)
    [listed] = json.loads(run("--json")[1])
    assert set(listed) == set(ListedKey.model_fields)
    assert (listed["id"], listed["revoked_at"]) == (key.id, None)
    table = run("list")[1]
    assert all(cell in table for cell in ("kiosk", key.id, "submit", "7/hour"))
    assert text.strip()[-43:] not in table
    assert run("revoke", "kiosk") == (0, f"Key “kiosk” ({key.id}) is revoked.\n", "")
    assert ApiKeys(client, store).authenticate(text.strip()) is None
    for arguments, status, sentence in (
        (("create", "a", "--quota", "many"), 2, "is no quota"),
        (("create", "a/b"), 1, "cannot be the name"),
        (("revoke", "nobody"), 1, "There is no key “nobody”"),
    ):
        completed = run(*arguments)
        assert completed[0] == status
        assert sentence in completed[2]
