"""Recipes: named, versioned parameters of a dream, kept as TOML files beside this module."""

import hashlib
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from shared.errors import ArtDreamError, did_you_mean
from shared.recipe.canvas import LONG_SIDES
from shared.recipe.objective import TERM_TYPES, Reference, StrictModel, Term
from shared.recipe.painters import painters_by_recipe, render_painter_recipe

DEFAULT_RECIPE = "animals"

#: Letters of the longest recipe; the bundled ones have some hundreds.
MAX_RECIPE_CHARACTERS = 50_000

RecipeName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class AscentConfig(StrictModel):
    """How the objective is climbed."""

    #: Scales of the pyramid, smallest first.
    octaves: int = Field(5, ge=1, le=12)
    #: Size ratio of one octave to the next.
    octave_scale: float = Field(1.3, gt=1, le=2)
    #: Steps at each octave.
    steps: int = Field(15, ge=0, le=2000)
    #: `gradient`: along the gradient, every scale of it made equally strong. `adam`: for objectives that have an
    #: optimum, such as style.
    optimiser: Literal["gradient", "adam"] = "gradient"
    #: Length of one step, on the range [-1, 1]: of `gradient` in units of the normalised gradient, of `adam` its
    #: learning rate.
    step: float = Field(0.02, gt=0, le=0.5)
    #: Length of an octave's last step ÷ that of its first; what lies between falls geometrically.
    decay: float = Field(1.0, gt=0, le=1)
    #: Largest random shift between steps, in pixels; hides the network's grid.
    jitter: int = Field(32, ge=0, le=256)
    #: Laplacian levels that `gradient` normalises one by one, besides the residual.
    levels: int = Field(3, ge=0, le=6)


class Ellipse(StrictModel):
    """Dream inside an ellipse, or outside it. Places and lengths are shares of the photo's width and height."""

    kind: Literal["ellipse"]
    #: The centre.
    x: Fraction = 0.5
    y: Fraction = 0.5
    #: The axes.
    width: float = Field(0.8, gt=0, le=3)
    height: float = Field(0.8, gt=0, le=3)
    #: The share of the radius, counted from the rim, over which the dream fades out.
    feather: Fraction = 0.25
    outside: bool = False


class Stencil(StrictModel):
    """Dream where a picture is white, not where it is black."""

    kind: Literal["stencil"]
    reference: Reference


def _wrap_single_table(value: object) -> object:
    return [value] if isinstance(value, dict) else value


class Recipe(StrictModel):
    """Named, versioned parameters of a dream."""

    name: RecipeName
    version: int = Field(ge=1, le=10**9)
    #: What a guest reads on the wall.
    title: str = Field(min_length=1, max_length=60)
    #: What an operator reads when choosing.
    description: str = Field(min_length=1, max_length=300)
    network: str = Field("lite", min_length=1, max_length=500)
    #: The recipe to take where the network's weights are missing.
    stand_in: RecipeName | None = None
    #: Long side in pixels.
    canvas: Literal[LONG_SIDES] = 640  # type: ignore[valid-type]
    #: What the dream begins with. From `noise`, the photo gives only its shape.
    start: Literal["photo", "noise"] = "photo"
    #: The terms that add up; in TOML `[[objective]]`, or `[objective]` where there is but one.
    objective: Annotated[tuple[Term, ...], BeforeValidator(_wrap_single_table)] = Field(min_length=1, max_length=50)
    ascent: AscentConfig = AscentConfig()
    #: Where the photo may change; everywhere by default.
    mask: Annotated[Ellipse | Stencil, Field(discriminator="kind")] | None = None
    #: Change lightness only.
    keep_colours: bool = False

    @model_validator(mode="after")
    def _validate_noise_start(self) -> Self:
        if self.start == "noise" and (self.mask or self.keep_colours or self.ascent.optimiser != "adam"):
            raise ValueError('start = "noise" goes with optimiser = "adam", without mask and keep_colours')
        return self

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change whenever anything that can change a pixel does."""
        body = self.model_dump_json(exclude={"title", "description", "stand_in"})
        return hashlib.sha256(body.encode()).hexdigest()[:16]


@cache
def list_recipe_names() -> tuple[str, ...]:
    """List the bundled recipes, the default first, then by name. The painters' are not among them."""
    names = {file.name.removesuffix(".toml") for file in files("shared.recipe").joinpath("bundled").iterdir()}
    return (DEFAULT_RECIPE, *sorted(names - {DEFAULT_RECIPE}))


@cache
def load_recipe(name: str) -> Recipe:
    """Read a bundled recipe by name, a painter's among them, or one's own by the path of its `.toml` file.

    Raises ArtDreamError where there is none, naming near ones, or where it is faulty.
    """
    if name.endswith(".toml"):
        try:
            return parse_recipe(Path(name).read_text(encoding="utf-8"), source=name)
        except (OSError, UnicodeDecodeError) as error:
            raise ArtDreamError(f"The recipe {name} cannot be read: {error}.") from error
    if painter := painters_by_recipe().get(name):
        return parse_recipe(render_painter_recipe(name.partition("-")[0], painter), source=name)
    if name not in list_recipe_names():
        near = did_you_mean(name, (*list_recipe_names(), *painters_by_recipe()))
        raise ArtDreamError(f"There is no recipe “{name}”. {near} `artdream recipes` lists all.")
    text = files("shared.recipe").joinpath("bundled", f"{name}.toml").read_text(encoding="utf-8")
    return parse_recipe(text, source=f"{name}.toml")


def build_painter_recipe(painter: str, network: str) -> Recipe:
    """Return the recipe for more of a painter, whom the network may know by another spelling. Raises ArtDreamError."""
    return parse_recipe(render_painter_recipe("more", painter, network), source=f"for “{painter}”")


def parse_recipe(text: str, *, source: str) -> Recipe:
    """Make a recipe from TOML. Raises ArtDreamError that names the source and the field at fault."""
    try:
        return Recipe.model_validate(_parse_toml(text, source))
    except ValidationError as error:
        first = error.errors()[0]
        part, place = _locate_field(first["loc"][:-1])
        field = ".".join(map(str, [*place, *first["loc"][-1:]]))
        told = f"{first['msg']}."
        if first["type"] == "extra_forbidden":
            told = f"there is no such field. {did_you_mean(str(first['loc'][-1]), part.model_fields)}"
        raise ArtDreamError(f"Recipe {source}, field “{field}”: {told}") from error


def _parse_toml(text: str, source: str) -> dict[str, object]:
    if len(text) > MAX_RECIPE_CHARACTERS:
        raise ArtDreamError(f"Recipe {source} is too long: at most {MAX_RECIPE_CHARACTERS} letters are read.")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ArtDreamError(f"Recipe {source} is not valid TOML: it is nested too deeply.") from error
    except ValueError as error:  # TOML's own, and Python's for numbers of thousands of digits
        raise ArtDreamError(f"Recipe {source} is not valid TOML: {error}.") from error


#: Kind → the part of a recipe that is of that kind.
_PARTS_BY_KIND = {get_args(part.model_fields["kind"].annotation)[0]: part for part in (*TERM_TYPES, Ellipse, Stencil)}


def _locate_field(location: tuple[int | str, ...]) -> tuple[type[StrictModel], tuple[int | str, ...]]:
    """Return the part of a recipe that a fault's place is in, and the place as one would write it, without kinds."""
    part: type[StrictModel] = AscentConfig if location[:1] == ("ascent",) else Recipe
    written: list[int | str] = []
    for step in location:
        if step in _PARTS_BY_KIND and part is Recipe:
            part = _PARTS_BY_KIND[str(step)]
        else:
            written.append(step)
    return part, tuple(written)
