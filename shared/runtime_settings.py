"""Runtime settings: the operator's changes while it runs, in Redis for every component and persisted in the store."""

import json
import logging
from collections.abc import Mapping
from typing import cast

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.appearance import Appearance
from shared.jobs.events import STREAM_LENGTH, RuntimeSettingsChanged
from shared.recipe.canary import Canary
from shared.redis_keys import RUNTIME_SETTINGS_KEY, STREAM
from shared.screens import MAX_SCREENS, Screen, ScreenName
from shared.settings import Settings
from shared.storage.object_names import RUNTIME_SETTINGS_NAME
from shared.storage.store import Store

logger = logging.getLogger(__name__)


#: Field that marks the runtime settings as initialised from the store; a wiped broker does not have it.
INITIALIZED_FIELD = "settled"

#: Field that says whether every dream needs approval, which the scripts of the job table read.
APPROVAL_FIELD = "approval"


class RuntimeSettings(BaseModel):
    """The settings that the operator can change while the installation runs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Whether every dream needs the operator's approval before it is visible.
    approval: bool = False
    #: Whether producers are paused: new photos stay where they are.
    paused: bool = False
    #: Recipes of which each photo from the inbox gets one; empty: those of `Settings`.
    recipes: tuple[str, ...] = ()
    #: Candidate for the next version of a recipe, which a share of the guests' photos get; None: there never was one.
    canary: Canary | None = None
    #: Days after which a dream is deleted; 0: never.
    retention_days: int = Field(0, ge=0)
    #: Epoch seconds at which the current event opened: wall and gallery show the dreams completed since.
    opened_at: float = 0.0
    #: Epoch seconds since which every dream is printed by itself; 0: none is.
    print_since: float = Field(0.0, ge=0)
    #: Prints that a guest may ask for in an event; 0: none.
    prints_per_guest: int = Field(0, ge=0)
    #: Prints in an event, those of the console not limited; 0: no limit.
    prints_per_event: int = Field(0, ge=0)
    #: Appearance of the event file of the display that was started last.
    appearance_default: Appearance = Appearance()
    #: Fields of the appearance that the operator has changed, by name.
    appearance_changes: dict[str, object] = {}
    #: What each screen shows, by its name.
    screens: dict[ScreenName, Screen] = Field({}, max_length=MAX_SCREENS)

    @field_validator("appearance_changes")
    @classmethod
    def _validate_changes(cls, changes: dict[str, object]) -> dict[str, object]:
        return Appearance.model_validate(changes).model_dump(mode="json", include=set(changes))

    @property
    def appearance(self) -> Appearance:
        """How the event looks: as in the event file, unless the operator has changed it."""
        return self.appearance_default.with_changes(self.appearance_changes)


def read_runtime_settings(client: redis.Redis, settings: Settings) -> RuntimeSettings:
    """Return the runtime settings; a missing or unreadable field has the value of `settings`. Raises RedisError."""
    return find_runtime_settings(client, settings) or _default_runtime_settings(settings)


def find_runtime_settings(client: redis.Redis, settings: Settings) -> RuntimeSettings | None:
    """Return the runtime settings; None if the broker has none, as after it was wiped. Raises RedisError."""
    fields = cast("dict[str, str]", client.hgetall(RUNTIME_SETTINGS_KEY))
    return _default_runtime_settings(settings).model_copy(update=_parse_fields(fields)) if fields else None


def _default_runtime_settings(settings: Settings) -> RuntimeSettings:
    return RuntimeSettings(
        approval=settings.approval,
        retention_days=settings.retention_days,
        prints_per_guest=settings.prints_per_guest,
        prints_per_event=settings.prints_per_event,
    )


def read_stored_runtime_settings(store: Store, settings: Settings) -> RuntimeSettings:
    """Return the runtime settings that are persisted in the store, as `read_runtime_settings`. Raises StoreError."""
    fields = _parse_fields(_parse_persisted(store.get(RUNTIME_SETTINGS_NAME)))
    return _default_runtime_settings(settings).model_copy(update=fields)


def update_runtime_settings(client: redis.Redis, **changes: object) -> None:
    """Change fields of the runtime settings and notify every component. Raises ValidationError and RedisError."""
    validated = RuntimeSettings.model_validate(changes).model_dump(mode="json", include=set(changes))
    pipeline = client.pipeline()
    pipeline.hset(RUNTIME_SETTINGS_KEY, mapping={field: json.dumps(value) for field, value in validated.items()})
    _append_change_event(pipeline)
    pipeline.execute()


def initialize_runtime_settings(client: redis.Redis, store: Store, *, approval: bool = False) -> bool:
    """Restore the runtime settings of a wiped broker from the store; False if they are already initialised.

    approval: whether this component's settings require approval. It then applies to the whole installation, unless the
    operator has decided otherwise, now or before the broker was wiped.
    Fields that the operator has set meanwhile are kept. If the stored settings cannot be read, approval is required,
    because they may have required it. Raises RedisError and StoreError, without any change.
    """
    if client.hexists(RUNTIME_SETTINGS_KEY, INITIALIZED_FIELD):
        if approval and client.hsetnx(RUNTIME_SETTINGS_KEY, APPROVAL_FIELD, "true"):
            _append_change_event(client)
        return False
    persisted = _parse_persisted(store.get(RUNTIME_SETTINGS_NAME))
    if approval:
        persisted = {APPROVAL_FIELD: "true"} | persisted
    pipeline = client.pipeline()
    for field, value_json in persisted.items():
        pipeline.hsetnx(RUNTIME_SETTINGS_KEY, field, value_json)
    pipeline.hset(RUNTIME_SETTINGS_KEY, INITIALIZED_FIELD, "true")
    if persisted:
        _append_change_event(pipeline)
    pipeline.execute()
    return True


def persist_runtime_settings(client: redis.Redis, store: Store, previous: str = "") -> str:
    """Persist the runtime settings in the store if they changed, and return them as JSON.

    previous: result of the previous call, "" at first. If the broker's settings are not initialised, as after it was
    wiped, nothing is written and `previous` is returned. Raises RedisError and StoreError.
    """
    fields = cast("dict[str, str]", client.hgetall(RUNTIME_SETTINGS_KEY))
    if INITIALIZED_FIELD not in fields:
        return previous
    validated = RuntimeSettings(**_parse_fields(fields)).model_dump(mode="json", include=set(fields))
    text = json.dumps(validated, indent=1)
    if text != previous and text.encode() != (store.get(RUNTIME_SETTINGS_NAME) or b"{}"):
        store.put(RUNTIME_SETTINGS_NAME, text.encode())
    return text


def _parse_fields(fields: Mapping[str, str]) -> dict[str, object]:
    """Return the values of the fields that are valid."""
    values: dict[str, object] = {}
    for field in fields.keys() & RuntimeSettings.model_fields.keys():
        try:
            values[field] = getattr(RuntimeSettings.model_validate({field: json.loads(fields[field])}), field)
        except (ValidationError, ValueError):  # of another version, or damaged
            continue
    return values


def _parse_persisted(text: bytes | None) -> dict[str, str]:
    """Return the persisted fields as the broker keeps them: field → JSON value."""
    if text is None:
        return {}
    try:
        persisted = {field: json.dumps(value) for field, value in json.loads(text).items()}
        if APPROVAL_FIELD in persisted and APPROVAL_FIELD not in _parse_fields(persisted):
            raise ValueError("approval is neither true nor false")
    except (ValueError, AttributeError) as error:
        logger.warning(
            "%s in the store cannot be read, so every dream waits for approval: %s", RUNTIME_SETTINGS_NAME, error
        )
        return {APPROVAL_FIELD: "true"}
    return persisted


def _append_change_event(client: redis.Redis) -> None:
    """client: or a pipeline."""
    client.xadd(STREAM, {"event": RuntimeSettingsChanged().model_dump_json()}, maxlen=STREAM_LENGTH, approximate=True)
