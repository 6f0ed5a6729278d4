"""The painters that the bundled network tells apart, and the recipes that each of them has."""

import unicodedata
from functools import cache
from importlib.resources import files
from string import Template

#: The bundled network.
BUNDLED_NETWORK = "artist/masters"

#: What begins a painter's recipes, and the template of each.
RECIPE_KINDS = ("more", "hybrid")

PAINTERS = (
    "Albrecht Dürer",
    "Alfred Sisley",
    "Amedeo Modigliani",
    "Andrei Rublev",
    "Andy Warhol",
    "Camille Pissarro",
    "Caravaggio",
    "Claude Monet",
    "Diego Rivera",
    "Diego Velazquez",
    "Edgar Degas",
    "Edouard Manet",
    "Edvard Munch",
    "El Greco",
    "Eugene Delacroix",
    "Francisco Goya",
    "Frida Kahlo",
    "Georges Seurat",
    "Giotto di Bondone",
    "Gustav Klimt",
    "Gustave Courbet",
    "Henri Matisse",
    "Henri Rousseau",
    "Henri de Toulouse-Lautrec",
    "Hieronymus Bosch",
    "Jackson Pollock",
    "Jan van Eyck",
    "Joan Miro",
    "Kazimir Malevich",
    "Leonardo da Vinci",
    "Marc Chagall",
    "Michelangelo",
    "Mikhail Vrubel",
    "Pablo Picasso",
    "Paul Cezanne",
    "Paul Gauguin",
    "Paul Klee",
    "Peter Paul Rubens",
    "Pierre-Auguste Renoir",
    "Piet Mondrian",
    "Pieter Bruegel",
    "Raphael",
    "Rembrandt",
    "Rene Magritte",
    "Salvador Dali",
    "Sandro Botticelli",
    "Titian",
    "Vasiliy Kandinskiy",
    "Vincent van Gogh",
    "William Turner",
)


#: What photos are dreamt with where nobody chose: painters that could not be taken for each other.
DEFAULT_PAINTER_RECIPES = (
    "more-vincent-van-gogh",
    "more-pablo-picasso",
    "more-paul-klee",
    "more-rembrandt",
    "more-gustav-klimt",
)


@cache
def painters_by_recipe() -> dict[str, str]:
    """Return the painters' recipes by name: `more-paul-klee` → Paul Klee."""
    return {f"{kind}-{slugify_painter(painter)}": painter for kind in RECIPE_KINDS for painter in PAINTERS}


def slugify_painter(painter: str) -> str:
    """Return how a painter is called in the name of a recipe: Paul Klee → paul-klee."""
    letters = unicodedata.normalize("NFKD", painter).encode("ascii", "ignore").decode().casefold()
    return "-".join("".join(one if one.isalnum() else " " for one in letters).split())


def render_painter_recipe(kind: str, painter: str, network: str = BUNDLED_NETWORK) -> str:
    """Return the recipe of a painter as TOML. kind: `more` or `hybrid`. network: one that knows the painter."""
    template = Template(files("shared.recipe").joinpath("templates", f"{kind}.toml").read_text(encoding="utf-8"))
    return template.substitute(slug=f"{kind}-{slugify_painter(painter)}"[:41], painter=painter, network=network)
