"""Access: which key a request shows, what it may do, and how much of its quota is left."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from display.api.problems import ApiProblem, ProblemType
from display.api.services import ApiServices, Services
from shared.api.jobs import ALL_KEYS
from shared.api.keys import ApiKey, ApiKeys, Scope
from shared.api.quotas import QUOTA_WINDOW_SECONDS, Quotas, QuotaState

_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="A key that `artdream api-key create` printed.")


async def get_key(
    services: Services, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> ApiKey:
    """Return the key of a request. Raises ApiProblem without a valid one, whatever is wrong with it."""
    text = credentials.credentials if credentials else ""
    key = await services.ask_broker(lambda client: ApiKeys(client, services.pictures.store).authenticate(text))
    if key is None:
        raise ApiProblem(
            ProblemType.UNAUTHORIZED,
            "Send a valid key in the header “Authorization: Bearer KEY”; `artdream api-key create` makes one.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return key


#: A key with any scope.
AnyKey = Annotated[ApiKey, Depends(get_key)]


def require_scope(key: ApiKey, scope: Scope) -> None:
    """Raise ApiProblem if a key does not have a scope."""
    if scope not in key.scopes:
        raise ApiProblem(
            ProblemType.SCOPE_MISSING, f"The key “{key.name}” does not have the scope “{scope}”, which this needs."
        )


def _require(scope: Scope) -> Callable[[ApiKey], Awaitable[ApiKey]]:
    async def get_key_with_scope(key: AnyKey) -> ApiKey:
        require_scope(key, scope)
        return key

    return get_key_with_scope


#: Keys that may read, and that may submit.
ReadKey = Annotated[ApiKey, Depends(_require(Scope.READ))]
SubmitKey = Annotated[ApiKey, Depends(_require(Scope.SUBMIT))]


def choose_owner(key: ApiKey) -> str:
    """Return whose jobs a key may see: its own, or those of ALL_KEYS."""
    return ALL_KEYS if Scope.ALL in key.scopes else key.id


@dataclass
class QuotaUse:
    """A submission that counts for a key's quota."""

    #: Whether it brought something new; what does not is no use of the quota.
    is_new: bool = False


@asynccontextmanager
async def use_quota(services: ApiServices, key: ApiKey, response: Response) -> AsyncIterator[QuotaUse]:
    """Count a submission of a key, and take that back at the end unless it brought something new.

    Afterwards the response tells the client its quota. Raises ApiProblem if the quota is used up.
    """
    state = await services.ask_broker(lambda client: Quotas(client).take(key))
    if not state.is_granted:
        raise ApiProblem(
            ProblemType.QUOTA_EXCEEDED,
            f"The key “{key.name}” may submit {key.quota_per_hour} photos in an hour: try again in "
            f"{state.reset_seconds} s.",
            headers={"Retry-After": str(state.reset_seconds)} | _make_quota_headers(key, state),
        )
    use = QuotaUse()
    try:
        yield use
    finally:
        if not use.is_new:
            state = await services.ask_broker(lambda client: Quotas(client).give_back(key))
    response.headers.update(_make_quota_headers(key, state))


def _make_quota_headers(key: ApiKey, state: QuotaState) -> dict[str, str]:
    """Return the headers that tell a client its quota (draft-ietf-httpapi-ratelimit-headers)."""
    return {
        "RateLimit-Policy": f'"submit";q={key.quota_per_hour};w={QUOTA_WINDOW_SECONDS}',
        "RateLimit": f'"submit";r={state.remaining};t={state.reset_seconds}',
    }
