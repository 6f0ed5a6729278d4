"""The painters that the bundled networks know, and the recipes generated for each of them."""

import unicodedata
from functools import cache
from importlib.resources import files
from string import Template

#: Bundled network that tells the painters apart best. It is `lite` but for what it learned from paintings.
CLASSIFIER_NETWORK = "artist/masters"

#: Bundled network of another size that learned from noisy pictures, too. No recipe dreams through it or its kin, so it
#: can judge whether a dream looks like its painter; the art map is its own.
CRITIC_NETWORK = "artist/masters-critic"

#: Bundled network that the painters' recipes dream through.
PAINTING_NETWORK = "artist/masters-robust"

#: Prefixes of the names of a painter's recipes; each has a template of that name.
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


#: Recipes used if none is chosen: painters whose styles cannot be confused with each other, and who leave something of
#: any photo. Chosen by looking at dreams of photos that have little in common.
DEFAULT_PAINTER_RECIPES = (
    "more-vincent-van-gogh",
    "more-pablo-picasso",
    "more-paul-klee",
    "more-william-turner",
    "more-vasiliy-kandinskiy",
)


@cache
def painters_by_recipe() -> dict[str, str]:
    """Return the painter of every painter recipe, by recipe name: `more-paul-klee` → Paul Klee."""
    return {f"{kind}-{slugify_painter(painter)}": painter for kind in RECIPE_KINDS for painter in PAINTERS}


def slugify_painter(painter: str) -> str:
    """Return the painter's part of a recipe name: Paul Klee → paul-klee."""
    ascii_name = unicodedata.normalize("NFKD", painter).encode("ascii", "ignore").decode().casefold()
    return "-".join("".join(letter if letter.isalnum() else " " for letter in ascii_name).split())


def render_painter_recipe(kind: str, painter: str, network: str = PAINTING_NETWORK) -> str:
    """Return a painter's recipe as TOML. kind: `more` or `hybrid`. network: must have the painter as a class."""
    template = Template(files("shared.recipe").joinpath("templates", f"{kind}.toml").read_text(encoding="utf-8"))
    return template.substitute(slug=f"{kind}-{slugify_painter(painter)}"[:41], painter=painter, network=network)
