"""Installation: the recipes that a key may use, and whether photos are taken now."""

from importlib.metadata import version

from fastapi import APIRouter

from display.api.access import AnyKey
from display.api.problems import ProblemType, document_problems
from display.api.services import Services
from display.api.submissions import list_recipes
from shared.api.resources import Health, RecipeList, RecipeResource

router = APIRouter()

_RESPONSES = document_problems(ProblemType.UNAUTHORIZED, ProblemType.UNAVAILABLE)


@router.get("/recipes", responses=_RESPONSES)
async def get_recipes(services: Services, key: AnyKey) -> RecipeList:
    """List the recipes that the key may use: the guests', and with the scope `recipes` every installed one."""
    recipes = [
        RecipeResource(name=recipe.name, title=recipe.title, description=recipe.description, version=recipe.version)
        for recipe in list_recipes(services, key)
    ]
    return RecipeList(recipes=recipes)


@router.get("/health", responses=_RESPONSES)
async def get_health(services: Services, _: AnyKey) -> Health:
    """Say whether photos are taken now, and how long they wait. 503 while the broker is unavailable."""
    queue = services.event_hub.describe_queue()
    return Health.model_validate(
        {
            "version": version("artdream"),
            "accepts_photos": await services.intake.is_open(),
            "waiting": queue["waiting"],
            "expected_seconds": queue["seconds"],
        }
    )
