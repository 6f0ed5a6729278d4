"""The dream engine: against the loop of TensorFlow's tutorial, against the machine's peak, and recipe by recipe."""

import argparse
import tempfile
from pathlib import Path

from shared.recipe.recipe import list_recipe_names
from worker.quiet_import import quiet_import

SECTIONS = ("tutorial", "peak", "lite", "recipes")


def main() -> None:
    """Measure the chosen sections and publish each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="turns of which each candidate's best counts")
    parser.add_argument("--steps", type=int, default=50, help="tutorial: steps at each octave")
    parser.add_argument("--canvas", type=int, nargs="+", default=[640], help="recipes: long sides in pixels")
    parser.add_argument("--recipe", nargs="+", default=list_recipe_names(), help="recipes: which")
    parser.add_argument("--no-print", action="store_true", help="recipes: leave out the dream of 4096 × 3072")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    sections = arguments.sections or SECTIONS
    with quiet_import():
        from benchmarks import bundled, peak, recipes, tutorial
        from benchmarks.subjects import make_weights
    with tempfile.TemporaryDirectory(prefix="artdream-bench-") as name:
        folder = Path(name)
        make_weights(folder)
        if "tutorial" in sections:
            tutorial.measure(folder, steps=arguments.steps, rounds=arguments.rounds)
        if "peak" in sections:
            peak.measure(folder, rounds=arguments.rounds)
        if "lite" in sections:
            bundled.measure(folder, rounds=arguments.rounds)
        if "recipes" in sections:
            recipes.measure(
                folder,
                names=arguments.recipe,
                canvases=arguments.canvas,
                rounds=arguments.rounds,
                with_print=not arguments.no_print,
            )


if __name__ == "__main__":
    main()
