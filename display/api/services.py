"""Services: what the API's routes use of the running display."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar, cast

import redis
from fastapi import Depends, Request

from display.api.problems import ApiProblem, ProblemType
from display.media.pictures import Pictures
from display.pages.share_links import ShareLinks
from display.state.event_hub import EventHub
from display.uploads.intake import UploadIntake
from display.web.threads import run_in_thread
from shared.broker.client import BROKER_OUTAGE, describe_error
from shared.errors import ArtDreamError
from shared.recipe.recipe import Recipe
from shared.settings import Settings

Result = TypeVar("Result")

#: Seconds after which a client may ask again while broker or store is unavailable.
RETRY_AFTER_SECONDS = 2


@dataclass(frozen=True)
class ApiServices:
    """The services of the running display."""

    settings: Settings
    event_hub: EventHub
    intake: UploadIntake
    pictures: Pictures
    share_links: ShareLinks
    #: Recipes that guests may choose, by name.
    guest_recipes: dict[str, Recipe]
    #: Event streams that are open, by key id.
    streams: Counter[str] = field(default_factory=Counter, init=False)

    async def ask_broker(self, function: Callable[[redis.Redis], Result]) -> Result:
        """Call a function with a client of the broker, in a thread.

        Raises ApiProblem if broker or store is unavailable.
        """
        try:
            return await run_in_thread(lambda: function(self.event_hub.broker.get()))
        except (*BROKER_OUTAGE, ArtDreamError) as error:
            raise make_unavailable_problem(describe_error(error)) from error


def make_unavailable_problem(detail: str) -> ApiProblem:
    """Return the problem of a broker or store that is unavailable."""
    return ApiProblem(ProblemType.UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def get_services(request: Request) -> ApiServices:
    """Return the services that the display gave to the application of a request."""
    return cast("ApiServices", request.app.state.services)


Services = Annotated[ApiServices, Depends(get_services)]
