"""Guest uploads: the folder of photos that the display received from phones. Processed files are deleted from it."""

import contextlib
import threading
import time
from pathlib import Path
from typing import NamedTuple

from producer.detection.watched_folder import WatchedFolder
from producer.ledger import FileVersion, Ledger, LedgerError
from shared.errors import ArtDreamError
from shared.guest_upload_names import (
    GUEST_UPLOADS_FOLDER,
    TOUCH_INTERVAL_SECONDS,
    AssignedRecipe,
    GuestUpload,
    assigned_recipe_path,
    parse_file_name,
    touch_producer_mark,
)
from shared.private_folder import create_private_folder
from shared.recipe.canary import Assignment
from shared.recipe.painters import painters_by_recipe
from shared.recipe.recipe import list_recipe_names, load_recipe


class GuestRequest(NamedTuple):
    """What an upload is to become."""

    assignment: Assignment
    upload: GuestUpload


class GuestUploadFolder(WatchedFolder):
    """One folder for each recipe, inside the data folder."""

    def __init__(self, data_folder: Path, changed: threading.Event) -> None:
        """Create the folder if it is missing. changed: set after a change below it.

        Raises ArtDreamError if the folder cannot be created.
        """
        folder = data_folder.absolute() / GUEST_UPLOADS_FOLDER
        try:
            create_private_folder(folder)
        except OSError as error:
            raise ArtDreamError(f"The data folder {data_folder} cannot be used: {error.strerror}.") from error
        super().__init__(folder, changed, recursive=True)
        self._data_folder = data_folder.absolute()
        self._last_touch = float("-inf")

    def announce(self) -> None:
        """Let the display know that uploads are taken; call it more often than each TOUCH_INTERVAL_SECONDS."""
        if time.monotonic() - self._last_touch < TOUCH_INTERVAL_SECONDS:
            return
        self._last_touch = time.monotonic()
        with contextlib.suppress(OSError):  # Where nothing can be written, no upload can be taken either.
            touch_producer_mark(self._data_folder)

    def list_folders(self) -> list[Path]:
        """Return the existing folders of known recipes."""
        names = (*list_recipe_names(), *painters_by_recipe())
        return [folder for name in names if (folder := self.path / name).is_dir()]

    def parse_request(self, path: Path) -> GuestRequest | None:
        """Return the request that a file of this folder encodes; None for any other file.

        The version of the recipe is the one that the display has assigned. Raises ArtDreamError for an unknown recipe.
        """
        upload = parse_file_name(path.name)
        if path.parent.parent != self.path or upload is None:
            return None
        return GuestRequest(_read_assignment(path) or Assignment(load_recipe(path.parent.name)), upload)

    def remove_processed(self, ledger: Ledger, processed: dict[Path, FileVersion]) -> None:
        """Delete the files in `processed`, from the folder, the ledger and `processed` itself.

        The ledger is first flushed to disk, so that a power cut cannot lose both a photo and its file.
        """
        removable = [path for path, version in self.list_files().items() if processed.get(path) == version]
        with contextlib.suppress(LedgerError, OSError):  # The next scan tries again.
            if removable and ledger.flush_to_disk():
                for path in removable:
                    path.unlink(missing_ok=True)
                    assigned_recipe_path(path).unlink(missing_ok=True)
                ledger.forget_files(removable)
                for path in removable:
                    del processed[path]


def _read_assignment(upload: Path) -> Assignment | None:
    """Return what an upload was assigned; None if it counts in no comparison, or its file is damaged."""
    try:
        assigned = AssignedRecipe.model_validate_json(assigned_recipe_path(upload).read_bytes())
    except (OSError, ValueError):  # pydantic's ValidationError is a ValueError
        return None
    return Assignment(assigned.recipe, assigned.comparison)
