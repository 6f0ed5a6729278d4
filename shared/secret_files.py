"""Key files: secrets that lie in files of one folder, as container platforms hand them to a process."""

import os
from pathlib import Path

from shared.errors import ArtDreamError

#: Where they lie if no setting says otherwise: Docker, Podman and Compose put them there.
DEFAULT_SECRETS_FOLDER = Path("/run/secrets")

#: How the variables begin that stores take their keys from.
_STORE_VARIABLE_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_")


def find_secrets_folder(configured: object) -> Path | None:
    """Return the folder of key files; None where there is none. Raises ArtDreamError where the chosen one is missing.

    chosen: what the setting says, "" or None for nothing.
    """
    if not configured:
        return DEFAULT_SECRETS_FOLDER if DEFAULT_SECRETS_FOLDER.is_dir() else None
    folder = Path(str(configured)).expanduser()
    if not folder.is_dir():
        raise ArtDreamError(f"ARTDREAM_SECRETS_DIR: there is no folder {folder}.")
    return folder


def export_store_secrets(folder: Path | None) -> None:
    """Put the keys of stores into the environment, where they are read from; what is there already stays."""
    for file in folder.iterdir() if folder else ():
        if (name := file.name.upper()).startswith(_STORE_VARIABLE_PREFIXES) and file.is_file():
            try:
                os.environ.setdefault(name, file.read_text(encoding="utf-8").strip())
            except (OSError, ValueError) as error:
                raise ArtDreamError(f"The secret in {file} cannot be read: may this user read it?") from error
