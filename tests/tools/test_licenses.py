"""The page of licenses tells of every package and network, as they are now."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tools import licenses
from tools.licenses import list_packages, make_page

PAGE = Path(__file__).parents[2] / "docs" / "licenses.md"


def test_the_page_names_every_package_that_an_extra_installs_and_the_license_of_each_that_is_here() -> None:
    """On another platform other packages are here: `make licenses` writes the page on Linux, of what is locked."""
    page, lock = PAGE.read_text(), tomllib.loads((PAGE.parents[1] / "uv.lock").read_text())
    locked_versions = {package["name"]: package.get("version") for package in lock["package"]}
    for row in list_packages():
        is_locked_here = row.license != "–" and version(row.package) == locked_versions[row.package]
        license_here = f" {row.license} |" if is_locked_here else ""
        assert f"| {row.package} |{license_here}" in page, "run `make licenses`"


def test_the_page_has_the_digests_of_the_weights() -> None:
    def read_networks(page: str) -> str:
        return page.partition("## Networks")[2].partition("## Packages")[0]

    assert read_networks(PAGE.read_text()) == read_networks(make_page()), "run `make licenses`"


def test_a_package_that_states_no_license_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licenses, "_FROM_LICENSE_FILES", {})
    with pytest.raises(ValueError, match="namex states no license"):
        licenses.read_license("namex")
