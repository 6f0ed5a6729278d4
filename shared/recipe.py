"""Recipes: named, versioned parameters of a dream, kept as TOML files beside this module."""

import difflib
import hashlib
import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from shared.canvas import LONG_SIDES
from shared.errors import ArtDreamError

DEFAULT_RECIPE = "animals"

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layers(_Frozen):
    """Make whole layers fire: the weighted sum of their mean squared activations."""

    kind: Literal["layers"] = "layers"
    #: Layer name → weight.
    layers: dict[str, FiniteFloat] = Field(min_length=1)


class Ascent(_Frozen):
    """How the objective is climbed."""

    #: Scales of the pyramid, smallest first.
    octaves: int = Field(5, ge=1, le=12)
    #: Size ratio of one octave to the next.
    octave_scale: float = Field(1.3, gt=1, le=2)
    #: Gradient steps at each octave.
    steps: int = Field(15, ge=0, le=500)
    #: Length of one step, in units of the normalised gradient, on the range [-1, 1].
    step: float = Field(0.02, gt=0, le=0.5)
    #: Largest random shift between steps, in pixels; hides the network's grid.
    jitter: int = Field(32, ge=0, le=256)
    #: Laplacian levels that are normalised one by one, besides the residual.
    levels: int = Field(3, ge=0, le=6)


class Recipe(_Frozen):
    """Named, versioned parameters of a dream."""

    name: Name
    version: int = Field(ge=1)
    #: What a guest reads on the wall.
    title: str = Field(min_length=1, max_length=60)
    #: What an operator reads when choosing.
    description: str = Field(min_length=1, max_length=300)
    network: str = "lite"
    #: Long side in pixels.
    canvas: Literal[LONG_SIDES] = 640  # type: ignore[valid-type]
    objective: Layers
    ascent: Ascent = Ascent()

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change whenever anything that can change a pixel does."""
        body = self.model_dump_json(exclude={"title", "description"})
        return hashlib.sha256(body.encode()).hexdigest()[:16]


@cache
def recipe_names() -> tuple[str, ...]:
    """List the bundled recipes, the default first, then by name."""
    names = {file.name.removesuffix(".toml") for file in files("shared").joinpath("recipes").iterdir()}
    return (DEFAULT_RECIPE, *sorted(names - {DEFAULT_RECIPE}))


@cache
def load_recipe(name: str) -> Recipe:
    """Read one bundled recipe. Raises ArtDreamError where there is none of that name, naming near ones."""
    if name not in recipe_names():
        near = difflib.get_close_matches(name, recipe_names(), n=3, cutoff=0.4) or recipe_names()
        raise ArtDreamError(
            f"There is no recipe “{name}”. Did you mean {', '.join(near)}? `artdream recipes` lists all."
        )
    text = files("shared").joinpath("recipes", f"{name}.toml").read_text(encoding="utf-8")
    return parse_recipe(text, source=f"{name}.toml")


def parse_recipe(text: str, *, source: str) -> Recipe:
    """Make a recipe from TOML. Raises ArtDreamError that names the source and the field at fault."""
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ArtDreamError(f"Recipe {source} is not valid TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ArtDreamError(f"Recipe {source}, field “{field}”: {first['msg']}.") from error
