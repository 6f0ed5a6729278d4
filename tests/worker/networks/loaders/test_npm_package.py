"""The registry of this machine's npm is used, with or without npm."""

from pathlib import Path

import pytest

from shared.errors import ArtDreamError
from worker.networks.loaders.npm_package import NpmPackage, find_registry


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the only one on the PATH; the environment names no registry."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install_npm(folder: Path, script: str) -> None:
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)


def test_without_npm_it_is_the_public_registry(programs: Path) -> None:
    assert find_registry() == "https://registry.npmjs.org/"


def test_npm_knows_its_registry(programs: Path) -> None:
    install_npm(programs, '[ "$*" = "config get registry" ] && echo https://mirror.example/npm/')
    assert find_registry() == "https://mirror.example/npm/"


def test_an_npm_that_fails_is_as_none(programs: Path) -> None:
    install_npm(programs, "echo https://mirror.example/npm/; exit 1")
    assert find_registry() == "https://registry.npmjs.org/"


@pytest.mark.parametrize("name", ["npm_config_registry", "NPM_CONFIG_REGISTRY"])
def test_the_environment_comes_before_npms_files(programs: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    install_npm(programs, "echo https://mirror.example/npm/")
    monkeypatch.setenv(name, "https://other.example")
    assert find_registry() == "https://other.example"


@pytest.mark.parametrize("registry", ["undefined", "file:///etc", "ftp://mirror.example"])
def test_a_registry_that_is_no_web_address_is_one_sentence(
    programs: Path, monkeypatch: pytest.MonkeyPatch, registry: str
) -> None:
    monkeypatch.setenv("npm_config_registry", registry)
    with pytest.raises(ArtDreamError, match=rf"npm registry “{registry}” .*set npm_config_registry"):
        find_registry()


@pytest.mark.parametrize("registry", ["https://mirror.example/npm", "https://mirror.example/npm/"])
def test_the_archive_has_the_path_that_registries_agree_on(registry: str) -> None:
    url = NpmPackage("nsfwjs", "4.4.0", "", 0).url_in(registry)
    assert url == "https://mirror.example/npm/nsfwjs/-/nsfwjs-4.4.0.tgz"
