"""The schema of queue messages: what a dream task looks like, and the reason for rejecting any other message."""

import base64
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.jobs.queue import DREAM_TASK
from shared.jobs.rejected_messages import RejectionReason

#: Characters of the longest accepted body; that of a dream task has 152.
MAX_BODY_LENGTH = 1000

JobId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]

#: Identifies a message or a delivery.
_Identifier = Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]

_RoutingName = Literal["", "live", "batch"]


class _MessagePart(BaseModel):
    """Part of a message. Ignores unknown fields: Celery and kombu send more, and may change it in a later version."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Headers(_MessagePart):
    task: Literal[DREAM_TASK]  # type: ignore[valid-type]
    id: _Identifier
    # Each of these makes Celery do something other than run the task now.
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

#: Invalid field → reason.
_REJECTION_BY_FIELD = {
    "body": RejectionReason.TOO_LARGE,
    "content-type": RejectionReason.WRONG_CONTENT_TYPE,
    "content-encoding": RejectionReason.WRONG_CONTENT_TYPE,
    "task": RejectionReason.WRONG_TASK,
    "compression": RejectionReason.WRONG_CONTENT_TYPE,
    **dict.fromkeys(("eta", "expires", "group", "timelimit"), RejectionReason.UNSUPPORTED_OPTIONS),
}


def find_rejection(message_data: Any) -> RejectionReason | None:
    """Return the reason for rejecting a parsed queue message; None if it is a valid dream task."""
    try:
        message = _Message.model_validate(message_data)
    except ValidationError as error:
        first_error = error.errors(include_input=False, include_url=False)[0]
        reason = next(
            (_REJECTION_BY_FIELD[str(field)] for field in first_error["loc"] if str(field) in _REJECTION_BY_FIELD),
            RejectionReason.MALFORMED_MESSAGE,
        )
        return (
            RejectionReason.MALFORMED_MESSAGE
            if reason is RejectionReason.TOO_LARGE and first_error["type"] != "string_too_long"
            else reason
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
