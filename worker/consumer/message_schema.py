"""A message of the queue: what one that asks for a dream looks like. Anything else is a reason."""

import base64
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.jobs.queue import DREAM_TASK
from shared.jobs.rejected_messages import RejectionReason

#: Letters of the longest body; one of ours has 152.
MAX_BODY_LENGTH = 1000

JobId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]

#: What tells one message or delivery from another.
_Identifier = Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]

_RoutingName = Literal["", "live", "batch"]


class _MessagePart(BaseModel):
    """Celery and kombu say more than what is looked at here, and may say it otherwise in a later version."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Headers(_MessagePart):
    task: Literal[DREAM_TASK]  # type: ignore[valid-type]
    id: _Identifier
    # Each of these makes Celery do something else than to dream now.
    eta: None = None
    expires: None = None
    compression: None = None
    group: None = None
    timelimit: list[None] | None = None


class _DeliveryInfo(_MessagePart):
    exchange: _RoutingName
    routing_key: _RoutingName


class _Properties(_MessagePart):
    body_encoding: Literal["base64"]
    delivery_tag: _Identifier
    delivery_info: _DeliveryInfo
    priority: int = Field(0, ge=0, le=9)


class _Message(_MessagePart):
    body: str = Field(max_length=MAX_BODY_LENGTH)
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Literal["utf-8"] = Field(alias="content-encoding")
    headers: _Headers
    properties: _Properties


class _NoKeywordArguments(_MessagePart):
    model_config = ConfigDict(extra="forbid")


class _EmbeddedOptions(_MessagePart):
    callbacks: None = None
    errbacks: None = None
    chain: None = None
    chord: None = None


_BODY_ADAPTER = TypeAdapter(tuple[tuple[JobId], _NoKeywordArguments, _EmbeddedOptions])

#: Where the fault is → what is said of it.
_REJECTION_BY_FIELD = {
    "body": RejectionReason.TOO_LARGE,
    "content-type": RejectionReason.WRONG_CONTENT_TYPE,
    "content-encoding": RejectionReason.WRONG_CONTENT_TYPE,
    "task": RejectionReason.WRONG_TASK,
    "compression": RejectionReason.WRONG_CONTENT_TYPE,
    **dict.fromkeys(("eta", "expires", "group", "timelimit"), RejectionReason.UNSUPPORTED_OPTIONS),
}


def find_rejection(message_data: Any) -> RejectionReason | None:
    """Return why a message of the queue, as it was parsed, does not ask for a dream; None where it does."""
    try:
        message = _Message.model_validate(message_data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        found = next(
            (_REJECTION_BY_FIELD[str(step)] for step in first["loc"] if str(step) in _REJECTION_BY_FIELD),
            RejectionReason.MALFORMED_MESSAGE,
        )
        return (
            RejectionReason.MALFORMED_MESSAGE
            if found is RejectionReason.TOO_LARGE and first["type"] != "string_too_long"
            else found
        )
    try:
        _BODY_ADAPTER.validate_json(base64.b64decode(message.body, validate=True))
    except ValidationError as error:
        return (
            RejectionReason.UNSUPPORTED_OPTIONS
            if error.errors(include_url=False)[0]["loc"][:1] == (2,)
            else RejectionReason.WRONG_ARGUMENTS
        )
    except ValueError:
        return RejectionReason.MALFORMED_MESSAGE
    return None
