"""The guests' folder: what the display took in from phones. Unlike other folders it is emptied as it is read."""

import contextlib
import threading
from pathlib import Path
from typing import NamedTuple

from producer.detection.watched_folder import WatchedFolder
from producer.outbox.ledger import FileVersion, Ledger, LedgerError
from shared.errors import ArtDreamError
from shared.guest_uploads import GUEST_UPLOADS_FOLDER, parse_file_name
from shared.recipe.recipe import Recipe, list_recipe_names, load_recipe


class GuestRequest(NamedTuple):
    """What a guest asked for. `guest` was given to a browser by chance, and is no name."""

    recipe: Recipe
    guest_id: str


class GuestUploadFolder(WatchedFolder):
    """One folder for each recipe, inside the data folder."""

    def __init__(self, data_folder: Path, changed: threading.Event) -> None:
        """Create the folder where it is missing. Raises ArtDreamError where that cannot be done."""
        folder = data_folder.absolute() / GUEST_UPLOADS_FOLDER
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ArtDreamError(f"The data folder {data_folder} cannot be used: {error.strerror}.") from error
        super().__init__(folder, changed, recursive=True)

    def list_folders(self) -> list[Path]:
        """List the folders of the recipes that are known here."""
        return [folder for name in list_recipe_names() if (folder := self.path / name).is_dir()]

    def parse_request(self, path: Path) -> GuestRequest | None:
        """Return what a file of this folder asks for; None for any other file."""
        sent = parse_file_name(path.name)
        if path.parent.parent != self.path or sent is None:
            return None
        return GuestRequest(load_recipe(path.parent.name), sent.guest_id)

    def remove_processed(self, ledger: Ledger, processed: dict[Path, FileVersion]) -> None:
        """Remove what was dealt with, which is in `done`, once a power cut can no longer make that forgotten."""
        spent = [path for path, mark in self.list_files().items() if processed.get(path) == mark]
        with contextlib.suppress(LedgerError, OSError):  # the next look tries again
            if spent and ledger.flush_to_disk():
                for path in spent:
                    path.unlink(missing_ok=True)
                ledger.forget_files(spent)
                for path in spent:
                    del processed[path]
