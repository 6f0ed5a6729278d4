"""The curator: who may see a dream, what is dreamt again, and what has to go."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import cast

import redis

from display.state.dream_index import Dream, DreamIndex
from shared.broker.client import BROKER_UNAVAILABLE, KEY_PREFIX, connect
from shared.errors import ArtDreamError
from shared.jobs.events import Hidden, Shown
from shared.jobs.job import Job, Lane
from shared.jobs.queue import create_celery_app, submit
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.runtime_settings import (
    RuntimeSettings,
    initialize_runtime_settings,
    persist_runtime_settings,
    read_runtime_settings,
    update_runtime_settings,
)
from shared.settings import Settings
from shared.storage.deletion import delete_dream_objects, write_tombstone
from shared.storage.object_names import photo_name, sidecar_name
from shared.storage.sidecar import Sidecar, Visibility, read_sidecar
from shared.storage.store import Store, StoreError

logger = logging.getLogger(__name__)

#: Deleted jobs of which something may still lie in the store, as `job_id photo_id`.
PENDING_DELETIONS_KEY = f"{KEY_PREFIX}erasing"

_DAY_SECONDS = 86_400


class Moderation:
    """Acts on the dreams of an installation. May be used from several threads; each call connects for itself."""

    def __init__(self, settings: Settings, dream_index: DreamIndex) -> None:
        """Raises StoreError where the store cannot be opened."""
        self._settings = settings
        self._dream_index = dream_index
        self._store = Store(settings.store)
        self._persisted = ""

    def show(self, job_id: str) -> None:
        """Let everybody see a dream that was held or hidden. Raises ArtDreamError."""
        with self._open_table() as table:
            sidecar = self._set_visibility(job_id, Visibility.SHOWN)
            photo_id, at = sidecar.photo_id, sidecar.completed_at
            shown = Shown(job_id=job_id, photo_id=photo_id, completed=sidecar.to_completed_event(), dreamt_at=at)
            if not table.show(shown):
                raise ArtDreamError(f"Dream {job_id[:8]} was deleted.")

    def hide(self, job_id: str) -> None:
        """Let nobody see a dream any longer, at once; it can be shown again. Raises ArtDreamError."""
        with self._open_table() as table:
            dream = self._get_dream(job_id)
            table.hide(Hidden(job_id=job_id, photo_id=_get_photo_id(dream)))
            self._set_visibility(job_id, Visibility.HIDDEN)

    def delete(self, job_id: str) -> None:
        """Delete everything of a dream for good, its photo too where no other dream is of it.

        Nobody sees it from the moment this begins. What cannot be reached in the store goes later, by `tidy`. Raises
        ArtDreamError.
        """
        dream = self._dream_index.find(job_id)
        if dream is None and self._dream_index.is_deleted(job_id):
            return
        self._delete(job_id, _get_photo_id(self._get_dream(job_id)))

    def resubmit_with_recipe(self, job_id: str, recipe: str) -> str:
        """Submit the photo of a dream with another recipe, and return the new job's id. Raises ArtDreamError."""
        dream = self._get_dream(job_id)
        if self._store.get(dream.photo) is None:
            raise ArtDreamError(f"The photo of dream {job_id[:8]} is no longer in the store.")
        job = Job(photo_id=_get_photo_id(dream), recipe=load_recipe(recipe), lane=Lane.LIVE, submitter="console")
        self._submit(job)
        return job.id

    def retry(self, job_id: str) -> None:
        """Take up a job again that failed. Raises ArtDreamError."""
        with self._open_table() as table:
            job = table.get_job(job_id)
        if job is None:
            raise ArtDreamError(f"Job {job_id[:8]} is not known to the broker any longer: send its photo again.")
        self._submit(job)

    def open_event(self) -> None:
        """Begin with empty walls; what was dreamt before stays in the store. Raises ArtDreamError."""
        with self._translate_broker_errors(), connect(self._settings.broker) as client:
            seconds, _ = cast("tuple[int, int]", client.time())
        self.change_settings(opened_at=seconds)

    def change_settings(self, **changes: object) -> None:
        """Decide how the installation runs, and write that down in the store. Raises ArtDreamError.

        Where the store is away it is decided all the same, and written down as soon as it is back.
        """
        with self._translate_broker_errors(), connect(self._settings.broker) as client:
            update_runtime_settings(client, **changes)
        try:
            self.persist_settings()
        except StoreError as error:
            raise ArtDreamError(
                f"It is decided, and noted in the store as soon as that can be reached: {error}"
            ) from error

    def read_settings(self) -> RuntimeSettings:
        """Return how the installation is steered; a broker that lost its memory is told first. Raises ArtDreamError."""
        with self._translate_broker_errors(), connect(self._settings.broker) as client:
            if initialize_runtime_settings(client, self._store):
                self._restore_visibility(client)
            return read_runtime_settings(client, self._settings)

    def restore_visibility(self) -> None:
        """Tell the broker of dreams that nobody may see, should it have lost its memory. Raises ArtDreamError."""
        with self._translate_broker_errors(), connect(self._settings.broker) as client:
            self._restore_visibility(client)

    def persist_settings(self) -> None:
        """Write down in the store how the installation is steered, where that has changed. Raises ArtDreamError."""
        with self._translate_broker_errors(), connect(self._settings.broker) as client:
            initialize_runtime_settings(client, self._store)
            self._persisted = persist_runtime_settings(client, self._store, self._persisted)

    def clean_up(self) -> int:
        """Finish what deletions left, and delete what is older than it may become; return how many dreams went.

        Raises ArtDreamError where store or broker is away: the next call goes on.
        """
        with self._translate_broker_errors(), connect(self._settings.broker) as client:
            for entry in cast("set[str]", client.smembers(PENDING_DELETIONS_KEY)):
                self._delete_files(*entry.split(" "))
            days = read_runtime_settings(client, self._settings).retention_days
        if not days:
            return 0
        oldest = time.time() - days * _DAY_SECONDS
        old = [dream for dream in self._dream_index.list_all() if dream.completed_at < oldest]
        for dream in old:
            self._delete(dream.job_id, _get_photo_id(dream))
        if self._dream_index.is_complete:  # photos of jobs that never had a dream
            kept = {dream.photo for dream in self._dream_index.list_all()}
            for found in list(self._store.list_objects("photos/")):
                if found.modified.timestamp() < oldest and found.name not in kept:
                    self._store.delete(found.name)
        if old:
            logger.info("%d dreams were older than %d days, and were deleted", len(old), days)
        return len(old)

    def _delete(self, job_id: str, photo_id: str) -> None:
        with self._translate_broker_errors(), connect(self._settings.broker) as client:
            client.sadd(PENDING_DELETIONS_KEY, f"{job_id} {photo_id}")
            JobTable(client).delete(job_id, photo_id)
        self._dream_index.delete(job_id)  # the event says so too, a moment later
        try:
            self._delete_files(job_id, photo_id)
        except StoreError as error:
            raise ArtDreamError(
                f"Dream {job_id[:8]} is no longer shown, but its files are still in the store: {error} "
                "They are deleted as soon as it can be reached."
            ) from error

    def _delete_files(self, job_id: str, photo_id: str) -> None:
        write_tombstone(self._store, job_id)
        delete_dream_objects(self._store, job_id)
        photo = photo_name(photo_id)
        if not any(dream.photo == photo for dream in self._dream_index.list_all()):
            self._store.delete(photo)
        with self._translate_broker_errors(), connect(self._settings.broker) as client:
            client.srem(PENDING_DELETIONS_KEY, f"{job_id} {photo_id}")

    def _restore_visibility(self, client: redis.Redis) -> None:
        everything = self._dream_index.list_all()
        JobTable(client).restore_holds(
            [dream.job_id for dream in everything if dream.visibility is not Visibility.SHOWN]
        )

    def _submit(self, job: Job) -> None:
        with self._open_table() as table, create_celery_app(self._settings) as app:
            if not submit(app, table, job):
                raise ArtDreamError(f"There is nothing to dream again: the job is {table.get_state(job.id)}.")

    def _set_visibility(self, job_id: str, visibility: Visibility) -> Sidecar:
        """Write down in the store who may see a dream, so that a lost broker changes nothing."""
        sidecar = read_sidecar(self._store, job_id)
        if sidecar is None:
            raise ArtDreamError(f"Dream {job_id[:8]} is not in the store, or its sidecar is damaged.")
        changed = sidecar.model_copy(update={"standing": visibility})
        self._store.put(sidecar_name(job_id), changed.model_dump_json(indent=1).encode())
        return changed

    def _get_dream(self, job_id: str) -> Dream:
        if dream := self._dream_index.find(job_id):
            return dream
        raise ArtDreamError(f"There is no dream {job_id[:8]}.")

    @contextmanager
    def _open_table(self) -> Iterator[JobTable]:
        with self._translate_broker_errors(), connect(self._settings.broker) as client:
            yield JobTable(
                client,
                approval=self._settings.approval,
                initialize=lambda: initialize_runtime_settings(client, self._store),
            )

    @contextmanager
    def _translate_broker_errors(self) -> Iterator[None]:
        try:
            yield
        except BROKER_UNAVAILABLE as error:
            raise ArtDreamError(f"The broker is away: {error}. Try again when it is back.") from error


def _get_photo_id(dream: Dream) -> str:
    return PurePosixPath(dream.photo).stem
