"""Access: which key a request shows, what it may do, and how much of its quota is left."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from display.api.problems import ApiProblem, ProblemType
from display.api.services import ApiServices, Services
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


async def take_quota(services: ApiServices, key: ApiKey) -> QuotaState:
    """Count a submission of a key. Raises ApiProblem if its quota is used up."""
    state = await services.ask_broker(lambda client: Quotas(client).take(key))
    if not state.is_granted:
        raise ApiProblem(
            ProblemType.QUOTA_EXCEEDED,
            f"The key “{key.name}” may submit {key.quota_per_hour} photos in an hour: try again in "
            f"{state.reset_seconds} s.",
            headers={"Retry-After": str(state.reset_seconds)} | make_quota_headers(key, state),
        )
    return state


async def give_quota_back(services: ApiServices, key: ApiKey) -> QuotaState:
    """Take back the count of a submission that brought nothing new."""
    return await services.ask_broker(lambda client: Quotas(client).give_back(key))


def make_quota_headers(key: ApiKey, state: QuotaState) -> dict[str, str]:
    """Return the headers that tell a client its quota (draft-ietf-httpapi-ratelimit-headers)."""
    return {
        "RateLimit-Policy": f'"submit";q={key.quota_per_hour};w={QUOTA_WINDOW_SECONDS}',
        "RateLimit": f'"submit";r={state.remaining};t={state.reset_seconds}',
    }
