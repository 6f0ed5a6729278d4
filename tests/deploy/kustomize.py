"""A partial implementation of `kustomize build`: resources, images, and patches selected by kind and label."""

import copy
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

_SUPPORTED_FIELDS = {"apiVersion", "kind", "resources", "images", "patches"}


def build(folder: Path) -> list[Manifest]:
    """Return the manifests of a folder.

    Raises AssertionError if the folder uses a feature that is not implemented here.
    """
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(kustomization) <= _SUPPORTED_FIELDS, (
        f"{folder} uses features of kustomize that are not implemented here: {set(kustomization) - _SUPPORTED_FIELDS}"
    )
    manifests: list[Manifest] = []
    for name in kustomization["resources"]:
        path = folder / name
        manifests += build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for patch in kustomization.get("patches", []):
        key, _, value = patch["target"]["labelSelector"].partition("=")
        patch_content = yaml.safe_load((folder / patch["path"]).read_text())
        targets = [
            manifest
            for manifest in manifests
            if manifest["kind"] == patch["target"]["kind"] and manifest["metadata"].get("labels", {}).get(key) == value
        ]
        assert targets, f"{patch['path']} changes nothing"
        for target in targets:
            target["spec"] = _merge(target["spec"], patch_content["spec"])
    for image in kustomization.get("images", []):
        deployments = [manifest for manifest in manifests if manifest["kind"] == "Deployment"]
        for container in (container for deployment in deployments for container in list_containers(deployment)):
            if container["image"].partition(":")[0] == image["name"]:
                container["image"] = f"{image['name']}:{image['newTag']}"
    return manifests


def list_containers(deployment: Manifest) -> list[Manifest]:
    """Return the containers of a deployment."""
    containers: list[Manifest] = deployment["spec"]["template"]["spec"]["containers"]
    return containers


def _merge(old: Any, new: Any) -> Any:
    """Do a strategic merge as Kubernetes does: merge lists of named items by name, replace other lists."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: _merge(old.get(name), value) for name, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and all("name" in item for item in [*old, *new]):
        new_items = {item["name"]: item for item in new}
        merged = [_merge(item, new_items.pop(item["name"], {})) for item in old]
        return [*new_items.values(), *merged]
    return copy.deepcopy(new)
