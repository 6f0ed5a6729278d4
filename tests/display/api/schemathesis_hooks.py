"""Hooks of schemathesis: what no generator finds in a document: recipes, jobs that exist, and pictures."""

import json
import os
from typing import Any

import schemathesis

from display.uploads.folder import detect_extension
from tests.display.api.conftest import PHOTO

#: Recipes, jobs and photos of the installation that is tested.
KNOWN = json.loads(os.environ["ARTDREAM_TESTED"])


@schemathesis.hook
def map_case(_: object, case: Any) -> Any:
    """Let a valid request name what exists, so that it can be served; one that is meant to be wrong stays wrong."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    if isinstance(case.body, dict) and "recipe" in case.body:
        recipe, photo = case.body["recipe"], case.body["photo"]
        case.body["recipe"] = KNOWN["recipes"][len(recipe) % len(KNOWN["recipes"])]
        if case.media_type == "application/json":
            case.body["photo"] = KNOWN["photos"][len(recipe) % len(KNOWN["photos"])]
        elif not isinstance(photo, bytes) or not detect_extension(photo[:12]):
            case.body["photo"] = PHOTO
    if "job" in (case.path_parameters or {}) and case.operation.method.upper() != "PUT":
        name = case.path_parameters["job"]
        case.path_parameters["job"] = KNOWN["jobs"][len(name) % len(KNOWN["jobs"])]
    return case
