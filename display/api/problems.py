"""Problems: every error of the API, as problem+json with a stable type (RFC 9457)."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from starlette.responses import JSONResponse, Response

from shared.api.resources import FieldError, Problem

PROBLEM_MEDIA_TYPE = "application/problem+json"

_URN_PREFIX = "urn:artdream:problem:"


class ProblemType(Enum):
    """Every type: name, HTTP status and title. Names are a contract; docs/http-api.md explains each."""

    UNAUTHORIZED = "unauthorized", 401, "No valid key"
    SCOPE_MISSING = "scope-missing", 403, "The key may not do this"
    NOT_FOUND = "not-found", 404, "No such path"
    JOB_NOT_FOUND = "job-not-found", 404, "No such job"
    PHOTO_NOT_FOUND = "photo-not-found", 404, "No such photo"
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "Not a method of this path"
    UPLOAD_BROKEN = "upload-broken", 408, "The upload broke off"
    CLIENT_ID_TAKEN = "client-id-taken", 409, "The id names another job"
    JOB_NOT_QUEUED = "job-not-queued", 409, "The photo has not been decoded yet"
    JOB_ENDED = "job-ended", 409, "The job has ended"
    JOB_NOT_FAILED = "job-not-failed", 409, "The job has neither failed nor been cancelled"
    TOO_LARGE = "too-large", 413, "Too large"
    NOT_A_PICTURE = "not-a-picture", 415, "Not a supported picture"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", 415, "Not a supported media type"
    INVALID_REQUEST = "invalid-request", 422, "A part of the request is invalid"
    QUOTA_EXCEEDED = "quota-exceeded", 429, "The key's quota is used up"
    TOO_MANY_STREAMS = "too-many-streams", 429, "Too many event streams"
    INTERNAL_ERROR = "internal-error", 500, "A fault of the display"
    BUSY = "busy", 503, "Too many uploads"
    NO_PRODUCER = "no-producer", 503, "No producer takes photos"
    UNAVAILABLE = "unavailable", 503, "Broker or store is unavailable"

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug, self.status, self.title = slug, status, title

    @property
    def urn(self) -> str:
        """The type in responses."""
        return _URN_PREFIX + self.slug


class ApiProblem(Exception):
    """A request cannot be served. detail: what happened, and what to do."""

    def __init__(
        self,
        problem_type: ProblemType,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail)
        self.type, self.detail, self.headers, self.errors = problem_type, detail, dict(headers or {}), list(errors)

    def to_response(self) -> Response:
        """Return the response that tells the client."""
        problem = Problem(
            type=self.type.urn, title=self.type.title, status=self.type.status, detail=self.detail, errors=self.errors
        )
        return JSONResponse(problem.model_dump(), self.type.status, self.headers, PROBLEM_MEDIA_TYPE)


def list_field_errors(errors: Sequence[Mapping[str, Any]], *place: str) -> list[FieldError]:
    """Return what Pydantic found wrong with which field. place: where the fields are, if Pydantic does not say it."""
    return [FieldError(field=".".join(map(str, (*place, *one["loc"]))), detail=one["msg"]) for one in errors]


def document_problems(*types: ProblemType) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a path's problems, by status."""
    by_status: dict[int | str, dict[str, Any]] = {}
    schema = {"$ref": "#/components/schemas/Problem"}
    for problem_type in types:
        names = f"`{problem_type.slug}`: {problem_type.title}."
        before = by_status.get(problem_type.status)
        description = f"{before['description']} {names}" if before else names
        by_status[problem_type.status] = {
            "description": description,
            "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}},
        }
    return by_status
