"""Keys of the API: kept as hashes, restored to a wiped broker, revoked for good; and their quotas."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from shared.api.keys import ApiKeys, Scope
from shared.api.quotas import Quotas
from shared.broker.client import connect
from shared.errors import ArtDreamError
from shared.redis_keys import API_KEYS_KEY, api_quota_key
from shared.storage.object_names import API_KEYS_PREFIX, api_key_name
from shared.storage.store import Store


@pytest.fixture
def keys(client: redis.Redis, store: Store) -> ApiKeys:
    return ApiKeys(client, store)


def test_a_key_is_what_was_created_and_nothing_like_it(keys: ApiKeys) -> None:
    key, text = keys.create("kiosk", (Scope.READ, Scope.SUBMIT), 60)
    assert keys.authenticate(text) == key
    assert (key.name, key.scopes, key.quota_per_hour) == ("kiosk", (Scope.READ, Scope.SUBMIT), 60)
    _, other = keys.create("other", (Scope.READ,), 1)
    for wrong in ("", text[:-1], text + "A", text.upper(), text[:26] + other[26:], f"{text}\n", "restored"):
        assert keys.authenticate(wrong) is None


def test_a_wiped_broker_is_restored_and_revives_no_revoked_key(
    keys: ApiKeys, client: redis.Redis, store: Store
) -> None:
    (valid, valid_text), (revoked, revoked_text) = (keys.create(name, (Scope.READ,), 1) for name in ("a", "b"))
    keys.revoke("b")
    client.flushall()
    assert keys.authenticate(valid_text) == valid
    assert keys.authenticate(revoked_text) is None
    # A display restores what it has read of the store before the key was revoked.
    client.hdel(API_KEYS_KEY, "restored")
    store.put(api_key_name(revoked.id), revoked.model_dump_json().encode())
    assert keys.authenticate("artdream_" + "0" * 16 + "_" + "A" * 43) is None  # restores
    assert client.hexists(API_KEYS_KEY, "restored")
    assert keys.authenticate(revoked_text) is None


def test_a_key_is_revoked_by_name_or_id_and_its_name_is_free_then(keys: ApiKeys) -> None:
    key, text = keys.create("kiosk", (Scope.READ,), 1)
    with pytest.raises(ArtDreamError, match="already"):
        keys.create("kiosk", (Scope.READ,), 1)
    first = keys.revoke("kiosk")
    assert keys.revoke(key.id) == first  # again: a broker that was unavailable learns it now
    assert keys.authenticate(text) is None
    second, _ = keys.create("kiosk", (Scope.READ,), 1)
    assert keys.revoke("kiosk").id == second.id
    with pytest.raises(ArtDreamError, match="There is no key “nobody”"):
        keys.revoke("nobody")


def test_a_damaged_key_is_none_and_hides_no_other(keys: ApiKeys, client: redis.Redis, store: Store) -> None:
    key, text = keys.create("a", (Scope.READ,), 1)
    store.put(f"{API_KEYS_PREFIX}damaged.json", b"\xff{")
    assert keys.list_keys() == [key]
    client.flushall()
    assert keys.authenticate(text) == key
    client.hset(API_KEYS_KEY, key.id, "{}")
    assert keys.authenticate(text) is None


def test_a_quota_is_never_exceeded_however_many_ask_at_once(keys: ApiKeys, broker_url: str) -> None:
    key, _ = keys.create("a", (Scope.SUBMIT,), 20)

    def take() -> bool:
        with connect(broker_url) as client:
            return Quotas(client).take(key).is_granted

    with ThreadPoolExecutor(8) as executor:
        granted = list(executor.map(lambda _: take(), range(60)))
    assert granted.count(True) == 20


def test_a_quota_is_there_again_when_its_window_has_ended(keys: ApiKeys, client: redis.Redis) -> None:
    key, _ = keys.create("a", (Scope.SUBMIT,), 1)
    quotas = Quotas(client)
    assert quotas.take(key) == (True, 0, 3600)
    refused = quotas.take(key)
    assert (refused.is_granted, refused.remaining) == (False, 0)
    assert quotas.give_back(key).remaining == 1
    assert quotas.take(key).is_granted
    began = float(client.hget(api_quota_key(key.id), "began") or 0)
    client.hset(api_quota_key(key.id), "began", f"{began - 3601:.6f}")
    assert quotas.take(key) == (True, 0, 3600)
    assert 0 < client.ttl(api_quota_key(key.id)) <= 3600
