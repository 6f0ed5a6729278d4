"""A dream that does not fit into memory is rendered smaller, once, and then fails with one sentence."""

import subprocess
import sys
import textwrap

import pytest

from tests.waiting import WAIT_TIMEOUT_SECONDS

#: Limits the memory of its process after a first, small dream; with an argument, lifts the limit for the second try.
MEMORY_LIMIT_SCRIPT = """
    import logging, resource, sys
    from pathlib import Path
    import numpy as np
    import psutil
    from shared.errors import ArtDreamError
    from shared.recipe.recipe import load_recipe
    from worker.dreaming.engine import Engine
    from worker.networks import Networks
    from worker.dreaming.reference_images import ReferenceImages

    class Relief(logging.Handler):
        def emit(self, record):
            print(record.getMessage())
            if len(sys.argv) > 1:
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)

    logging.basicConfig(handlers=[Relief()])
    engine = Engine(Networks(Path("nowhere"), None, "float32"), ReferenceImages())
    lines = load_recipe("lines")
    short = lines.model_copy(update={"ascent": lines.ascent.model_copy(update={"steps": 1, "octaves": 1})})
    photo = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    engine.dream(photo, short.model_copy(update={"canvas": 512}), seed=0)
    end = psutil.Process().memory_info().vms + 20_000_000  # less than one picture of the larger canvases
    resource.setrlimit(resource.RLIMIT_AS, (end, resource.RLIM_INFINITY))
    try:
        print(engine.dream(photo, short.model_copy(update={"canvas": 2048}), seed=0).pixels.shape)
    except ArtDreamError as error:
        print(error)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux heeds the limit"),
]


def run_script(*arguments: str) -> list[str]:
    command = [sys.executable, "-c", textwrap.dedent(MEMORY_LIMIT_SCRIPT), *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_TIMEOUT_SECONDS)
    return completed.stdout.splitlines()


def test_a_dream_that_does_not_fit_into_memory_is_dreamt_smaller() -> None:
    """Fails without the second try: the engine raises MemoryError."""
    assert run_script("relieved") == [
        "recipe “lines” does not fit into memory at 2048 px: 1536 px are tried",
        "(1152, 1536, 3)",
    ]


def test_one_that_does_not_fit_then_either_fails_in_one_sentence() -> None:
    assert run_script()[1:] == [
        "A dream of recipe “lines” fits into memory neither at 2048 nor at 1536 px: give it a smaller canvas, or the "
        "worker more memory."
    ]
