"""Packages of an npm registry: their URLs, in the registry that this machine is configured for."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass

from shared.errors import ArtDreamError

#: The public registry.
DEFAULT_REGISTRY = "https://registry.npmjs.org/"

#: Environment variable that npm reads its registry from, in any case.
REGISTRY_VARIABLE = "npm_config_registry"

#: npm answers within a second; the limit is for one that waits for something.
NPM_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class NpmPackage:
    """A published version of a package."""

    name: str
    version: str
    #: SHA-256 of the published archive, as hex digits, and its size in bytes.
    sha256: str
    size: int

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def file_name(self) -> str:
        """The file name of the archive."""
        return f"{self.name}-{self.version}.tgz"

    def is_published(self, content: bytes) -> bool:
        """Return whether a content is that of the published archive."""
        return hashlib.sha256(content).hexdigest() == self.sha256

    def url_in(self, registry: str) -> str:
        """Return the URL of the archive in a registry; registries and mirrors agree on its path."""
        return f"{registry.rstrip('/')}/{self.name}/-/{self.file_name}"


def find_registry() -> str:
    """Return the URL of the npm registry that this machine is configured for, by default the public one.

    It is that of the environment variable, or what npm says, which knows the configuration files. npm may be missing.
    Raises ArtDreamError if the registry has no URL of HTTP.
    """
    variables = {name.lower(): value for name, value in os.environ.items()}
    registry = variables.get(REGISTRY_VARIABLE) or _ask_npm() or DEFAULT_REGISTRY
    if not registry.startswith(("https://", "http://")):
        raise ArtDreamError(
            f"The npm registry “{registry}” has no URL that begins with https://: set {REGISTRY_VARIABLE} to one."
        )
    return registry


def _ask_npm() -> str:
    """Return the registry in npm's configuration; an empty string if npm is missing or does not answer."""
    program = shutil.which("npm")
    if program is None:
        return ""
    try:
        result = subprocess.run(  # noqa: S603
            [program, "config", "get", "registry"],
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()
