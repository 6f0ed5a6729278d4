"""What `kustomize build` makes of the few of its features that are used here: resources, images, patches of a kind."""

import copy
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

_SUPPORTED_FIELDS = {"apiVersion", "kind", "resources", "images", "patches"}


def build(folder: Path) -> list[Manifest]:
    """Return the manifests of a folder. Whatever is not understood fails, rather than being passed over."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(plan) <= _SUPPORTED_FIELDS, (
        f"{folder} uses more of kustomize than is understood here: {set(plan) - _SUPPORTED_FIELDS}"
    )
    found: list[Manifest] = []
    for name in plan["resources"]:
        path = folder / name
        found += build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for patch in plan.get("patches", []):
        key, _, value = patch["target"]["labelSelector"].partition("=")
        change = yaml.safe_load((folder / patch["path"]).read_text())
        targets = [
            one
            for one in found
            if one["kind"] == patch["target"]["kind"] and one["metadata"].get("labels", {}).get(key) == value
        ]
        assert targets, f"{patch['path']} changes nothing"
        for one in targets:
            one["spec"] = _merge(one["spec"], change["spec"])
    for image in plan.get("images", []):
        for container in (c for one in found if one["kind"] == "Deployment" for c in list_containers(one)):
            if container["image"].partition(":")[0] == image["name"]:
                container["image"] = f"{image['name']}:{image['newTag']}"
    return found


def list_containers(deployment: Manifest) -> list[Manifest]:
    """Return the containers of a deployment."""
    found: list[Manifest] = deployment["spec"]["template"]["spec"]["containers"]
    return found


def _merge(old: Any, new: Any) -> Any:
    """Merge as Kubernetes does strategically: lists of things with names by their names, other lists replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: _merge(old.get(name), value) for name, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and all("name" in one for one in [*old, *new]):
        changed = {one["name"]: one for one in new}
        kept = [_merge(one, changed.pop(one["name"], {})) for one in old]
        return [*changed.values(), *kept]
    return copy.deepcopy(new)
