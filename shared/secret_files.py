"""Secret files: one secret per file in a folder, as container platforms pass secrets to a process."""

import os
from pathlib import Path

from shared.errors import ArtDreamError

#: The folder that is used without a setting: Docker, Podman and Compose mount secrets there.
DEFAULT_SECRETS_FOLDER = Path("/run/secrets")

#: Prefixes of the environment variables from which store clients read their credentials.
_STORE_VARIABLE_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_")


def find_secrets_folder(configured: object) -> Path | None:
    """Return the folder of secret files; None if there is none. Raises ArtDreamError if the configured one is missing.

    configured: value of the setting; "" or None if it is not set.
    """
    if not configured:
        return DEFAULT_SECRETS_FOLDER if DEFAULT_SECRETS_FOLDER.is_dir() else None
    folder = Path(str(configured)).expanduser()
    if not folder.is_dir():
        raise ArtDreamError(f"ARTDREAM_SECRETS_DIR: there is no folder {folder}.")
    return folder


def export_store_secrets(folder: Path | None) -> None:
    """Copy the credentials of stores from files into the environment; a variable that is already set keeps its value.

    Raises ArtDreamError if a file cannot be read.
    """
    for file in folder.iterdir() if folder else ():
        if (name := file.name.upper()).startswith(_STORE_VARIABLE_PREFIXES) and file.is_file():
            try:
                os.environ.setdefault(name, file.read_text(encoding="utf-8").strip())
            except (OSError, ValueError) as error:
                raise ArtDreamError(f"The secret in {file} cannot be read: may this user read it?") from error
