"""Recipes: named, versioned parameters of a dream, read from TOML."""

import hashlib
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from shared.errors import ArtDreamError, did_you_mean
from shared.recipe.canvas import LONG_SIDES
from shared.recipe.objective import TERM_TYPES, Classes, Reference, StrictModel, Term
from shared.recipe.painters import painters_by_recipe, render_painter_recipe

DEFAULT_RECIPE = "animals"

#: Characters of the longest recipe file; the bundled ones have some hundreds.
MAX_RECIPE_CHARACTERS = 50_000

RecipeName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class AscentConfig(StrictModel):
    """Parameters of the gradient ascent."""

    later_fields = frozenset({"parameterisation", "view_scale"})

    #: Scales of the pyramid, smallest first.
    octaves: int = Field(5, ge=1, le=12)
    #: Size ratio of one octave to the next.
    octave_scale: float = Field(1.3, gt=1, le=2)
    #: Steps at each octave.
    steps: int = Field(15, ge=0, le=2000)
    #: `gradient`: plain ascent along the gradient, with every scale normalised to the same strength. `adam`: for
    #: objectives that have an optimum, such as style.
    optimiser: Literal["gradient", "adam"] = "gradient"
    #: What is changed. `pixels`: each pixel of each octave, in turn. The others have no octaves and need `adam`.
    #: `pyramid`: a sum of seven pictures, from 1/64 of the canvas to the canvas itself, all at once, which yields
    #: shapes and fields of colour rather than grain. `fourier`: the picture's spectrum. `phase`: only the phases of the
    #: spectrum. By default pixels; from noise fourier.
    parameterisation: Literal["pixels", "pyramid", "fourier", "phase"] | None = None
    #: Smallest scale at which the network sees the picture: with each step, one of four from this to 1.
    view_scale: float = Field(1.0, ge=0.25, le=1)
    #: Length of one step, for pixels in [-1, 1]: for `gradient` in units of the normalised gradient, for `adam` the
    #: learning rate.
    step: float = Field(0.02, gt=0, le=0.5)
    #: Length of an octave's last step ÷ length of its first; the steps between fall geometrically.
    decay: float = Field(1.0, gt=0, le=1)
    #: Largest random shift between steps, in pixels; hides the grid of the network's strides.
    jitter: int = Field(32, ge=0, le=256)
    #: Laplacian levels that `gradient` normalises separately, in addition to the residual.
    levels: int = Field(3, ge=0, le=6)


class Ellipse(StrictModel):
    """Change only the inside of an ellipse, or the outside. Units are fractions of the photo's width and height."""

    kind: Literal["ellipse"]
    #: The centre.
    x: Fraction = 0.5
    y: Fraction = 0.5
    #: The axes.
    width: float = Field(0.8, gt=0, le=3)
    height: float = Field(0.8, gt=0, le=3)
    #: Fraction of the radius, from the edge inwards, over which the dream fades out.
    feather: Fraction = 0.25
    outside: bool = False


class Stencil(StrictModel):
    """Change the photo only at the white positions of a reference image, not at the black ones."""

    kind: Literal["stencil"]
    reference: Reference


class People(StrictModel):
    """Change only the people in the photo, or only their background; all of the photo if nobody is seen."""

    #: What changes. `people`: the people, while the background stays. `background`: all but the people, who stay.
    kind: Literal["people", "background"]
    #: Fraction of the long side, from the edge of what stays on, over which the dream fades in.
    feather: Fraction = 0.006


def _expand_mask_kind(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


def _wrap_single_table(value: object) -> object:
    return [value] if isinstance(value, dict) else value


class Recipe(StrictModel):
    """Named, versioned parameters of a dream."""

    later_fields = frozenset({"brush", "size"})

    name: RecipeName
    version: int = Field(ge=1, le=10**9)
    #: Shown to guests on the wall.
    title: str = Field(min_length=1, max_length=60)
    #: Shown to the operator in lists of recipes.
    description: str = Field(min_length=1, max_length=300)
    network: str = Field("lite", min_length=1, max_length=500)
    #: Recipe used instead if the network's weights are missing.
    stand_in: RecipeName | None = None
    #: Long side in pixels.
    canvas: Literal[LONG_SIDES] = 640  # type: ignore[valid-type]
    #: Long side in pixels of the finished dream, if it is larger than the canvas: the change is enlarged, and added to
    #: the photo at that size, whose detail stays.
    size: Literal[LONG_SIDES] | None = None  # type: ignore[valid-type]
    #: Initial image of the ascent. With `noise`, the photo only determines the shape.
    start: Literal["photo", "noise"] = "photo"
    #: Terms of the sum; in TOML `[[objective]]`, or `[objective]` if there is only one.
    objective: Annotated[tuple[Term, ...], BeforeValidator(_wrap_single_table)] = Field(min_length=1, max_length=50)
    ascent: AscentConfig = AscentConfig()
    #: Region in which the photo may change; everywhere by default. `mask = "people"` is short for a `[mask]` with that
    #: kind and defaults.
    mask: Annotated[
        Annotated[Ellipse | Stencil | People, Field(discriminator="kind")] | None, BeforeValidator(_expand_mask_kind)
    ] = None
    #: Change lightness only.
    keep_colours: bool = False
    #: Diameter of the dabs into which a Kuwahara filter turns the detail of the finished dream, as a share of its long
    #: side; 0: its detail stays.
    brush: float = Field(0, ge=0, le=0.05)

    @model_validator(mode="after")
    def _validate_combination(self) -> Self:
        if self.start == "noise" and (self.mask or self.keep_colours or self.ascent.parameterisation == "pixels"):
            raise ValueError('start = "noise" goes without mask, keep_colours and parameterisation = "pixels"')
        if self.size is not None and self.size < self.canvas:
            raise ValueError("size is at least canvas")
        if self.parameterisation != "pixels" and self.ascent.optimiser != "adam":
            raise ValueError(f'parameterisation = "{self.parameterisation}" goes with optimiser = "adam"')
        if self.parameterisation == "pixels" and self.ascent.view_scale != 1:
            raise ValueError('view_scale goes with another parameterisation than "pixels", which has octaves')
        return self

    @property
    def parameterisation(self) -> Literal["pixels", "pyramid", "fourier", "phase"]:
        """What the ascent changes."""
        return self.ascent.parameterisation or ("pixels" if self.start == "photo" else "fourier")

    @property
    def digest(self) -> str:
        """Sixteen hex digits, a hash of every field that can change a pixel of the dream."""
        body = self.model_dump_json(exclude={"title", "description", "stand_in"})
        return hashlib.sha256(body.encode()).hexdigest()[:16]


@cache
def list_recipe_names() -> tuple[str, ...]:
    """Return the names of the bundled recipes, the default first, then by name, without the painter recipes."""
    names = {file.name.removesuffix(".toml") for file in files("shared.recipe").joinpath("bundled").iterdir()}
    return (DEFAULT_RECIPE, *sorted(names - {DEFAULT_RECIPE}))


@cache
def load_recipe(name: str) -> Recipe:
    """Load a bundled recipe or a painter recipe by name, or any recipe by the path of its `.toml` file.

    Raises ArtDreamError if there is no such recipe, with similar names, or if it is invalid.
    """
    if name.endswith(".toml"):
        try:
            return parse_recipe(Path(name).read_text(encoding="utf-8"), source=name)
        except (OSError, UnicodeDecodeError) as error:
            raise ArtDreamError(f"The recipe {name} cannot be read: {error}.") from error
    if painter := painters_by_recipe().get(name):
        return parse_recipe(render_painter_recipe(name.partition("-")[0], painter), source=name)
    if name not in list_recipe_names():
        suggestion = did_you_mean(name, (*list_recipe_names(), *painters_by_recipe()))
        raise ArtDreamError(f"There is no recipe “{name}”. {suggestion} `artdream recipes` lists all.")
    text = files("shared.recipe").joinpath("bundled", f"{name}.toml").read_text(encoding="utf-8")
    return parse_recipe(text, source=f"{name}.toml")


def build_painter_recipe(painter: str, network: str, *, has_statistics: bool = True) -> Recipe:
    """Return the `more` recipe of a painter. Raises ArtDreamError.

    painter: as spelled in the network's classes. has_statistics: whether the network has style statistics; without them
    the recipe raises the painter's class alone.
    """
    recipe = parse_recipe(render_painter_recipe("more", painter, network), source=f"for “{painter}”")
    if has_statistics:
        return recipe
    class_terms = tuple(term for term in recipe.objective if isinstance(term, Classes))
    return recipe.model_copy(update={"objective": class_terms})


def parse_recipe(text: str, *, source: str) -> Recipe:
    """Parse a recipe from TOML. Raises ArtDreamError that names the source and the invalid field."""
    try:
        return Recipe.model_validate(_parse_toml(text, source))
    except ValidationError as error:
        first = error.errors()[0]
        part, parent_path = _locate_field(first["loc"][:-1])
        field = ".".join(map(str, [*parent_path, *first["loc"][-1:]]))
        problem = f"{first['msg']}."
        if first["type"] == "extra_forbidden":
            problem = f"there is no such field. {did_you_mean(str(first['loc'][-1]), part.model_fields)}"
        raise ArtDreamError(f"Recipe {source}, field “{field}”: {problem}") from error


def _parse_toml(text: str, source: str) -> dict[str, object]:
    if len(text) > MAX_RECIPE_CHARACTERS:
        raise ArtDreamError(f"Recipe {source} is too long: at most {MAX_RECIPE_CHARACTERS} letters are read.")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ArtDreamError(f"Recipe {source} is not valid TOML: it is nested too deeply.") from error
    except ValueError as error:  # invalid TOML, or an integer with more digits than Python parses
        raise ArtDreamError(f"Recipe {source} is not valid TOML: {error}.") from error


#: Value of `kind` → model of that part of a recipe.
_PARTS_BY_KIND = {
    kind: part
    for part in (*TERM_TYPES, Ellipse, Stencil, People)
    for kind in get_args(part.model_fields["kind"].annotation)
}


def _locate_field(location: tuple[int | str, ...]) -> tuple[type[StrictModel], tuple[int | str, ...]]:
    """Return the model that contains an invalid field, and that model's path as written in TOML, without kinds."""
    part: type[StrictModel] = AscentConfig if location[:1] == ("ascent",) else Recipe
    path: list[int | str] = []
    for step in location:
        if step in _PARTS_BY_KIND and part is Recipe:
            part = _PARTS_BY_KIND[str(step)]
        else:
            path.append(step)
    return part, tuple(path)
