"""The page of licenses tells of every package and network, as they are now."""

from pathlib import Path

import pytest

from tools import licenses
from tools.licenses import list_packages, make_page

PAGE = Path(__file__).parents[2] / "docs" / "licenses.md"


def test_the_page_names_every_package_that_an_extra_installs_and_the_license_of_each_that_is_here() -> None:
    """On another platform other packages are here: `make licenses` writes the page on Linux."""
    page = PAGE.read_text()
    for row in list_packages():
        license_here = f" {row.license} |" if row.license != "–" else ""
        assert f"| {row.package} |{license_here}" in page, "run `make licenses`"


def test_the_page_has_the_digests_of_the_weights() -> None:
    def read_networks(page: str) -> str:
        return page.partition("## Networks")[2].partition("## Packages")[0]

    assert read_networks(PAGE.read_text()) == read_networks(make_page()), "run `make licenses`"


def test_a_package_that_states_no_license_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licenses, "_FROM_LICENSE_FILES", {})
    with pytest.raises(ValueError, match="namex states no license"):
        licenses.read_license("namex")
