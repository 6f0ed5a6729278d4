"""Moderation: show, hide, delete and resubmit dreams, change runtime settings, enforce retention."""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import cast

import redis

from display.candidate import load_guest_recipes, parse_candidate
from display.media.logos import prepare_logo
from display.state.broker_pool import BrokerPool
from display.state.dream_index import MAX_PARALLEL_READS, Dream, DreamIndex
from display.state.event_appearance import EventAppearance
from shared.appearance import Appearance
from shared.broker.client import describe_error
from shared.errors import ArtDreamError
from shared.jobs.events import Completed, EventReader, Hidden, Shown
from shared.jobs.job import Job, Lane, Origin
from shared.jobs.leftovers import delete_leftovers
from shared.jobs.queue import create_celery_app, submit
from shared.jobs.table import JobTable
from shared.recipe.canary import Canary
from shared.recipe.recipe import Recipe, load_recipe
from shared.redis_keys import PENDING_DELETIONS_KEY, RUNTIME_SETTINGS_KEY
from shared.runtime_settings import (
    INITIALIZED_FIELD,
    RuntimeSettings,
    initialize_runtime_settings,
    persist_runtime_settings,
    read_runtime_settings,
    update_runtime_settings,
)
from shared.settings import Settings
from shared.storage.deletion import delete_dream_objects, delete_photo_objects, has_tombstone, write_tombstone
from shared.storage.object_names import DREAMS_PREFIX, photo_name, sidecar_name
from shared.storage.photos import require_photo
from shared.storage.sidecar import ModerationScores, Sidecar, Visibility, read_sidecar
from shared.storage.store import Store, StoreError

logger = logging.getLogger(__name__)


_DAY_SECONDS = 86_400


class Moderation:
    """The operator's actions on dreams and runtime settings. Thread-safe.

    Methods raise ArtDreamError, with a text for the operator, if broker or store is unavailable or the action is not
    possible.
    """

    def __init__(
        self,
        settings: Settings,
        dream_index: DreamIndex,
        event_appearance: EventAppearance | None = None,
        broker: BrokerPool | None = None,
    ) -> None:
        """Open the store. Raises StoreError if it cannot be opened.

        event_appearance: what this display's event file says; None: publish none. broker: by default one of its own.
        """
        self._settings = settings
        self._broker = broker or BrokerPool(settings)
        self._event_appearance = event_appearance
        self._is_appearance_published = False
        self._dream_index = dream_index
        self._store = Store(settings.store)
        self._persisted = ""
        self._scores: dict[str, ModerationScores | None] = {}

    def show(self, job_id: str) -> None:
        """Make a held or hidden dream visible to everybody. Raises ArtDreamError."""
        with self._open_table() as table:
            sidecar = self._set_visibility(job_id, Visibility.SHOWN)
            photo_id, at = sidecar.photo_id, sidecar.completed_at
            event = Shown(job_id=job_id, photo_id=photo_id, completed=sidecar.to_completed_event(), dreamt_at=at)
            if not table.show(event):
                raise ArtDreamError(f"Dream {job_id[:8]} was deleted.")

    def hide(self, job_id: str) -> None:
        """Hide a dream at once; it can be shown again. Raises ArtDreamError."""
        with self._open_table() as table:
            dream = self._get_dream(job_id)
            table.hide(Hidden(job_id=job_id, photo_id=_get_photo_id(dream)))
            self._set_visibility(job_id, Visibility.HIDDEN)

    def delete(self, job_id: str) -> None:
        """Delete a dream and its objects for good, its photo too if no other dream and no unfinished job uses it.

        The dream becomes invisible first. Raises ArtDreamError; if only the objects could not be deleted, `clean_up`
        deletes them later, as it does with the photo once its last job ends without a dream. Deleting a deleted dream
        does nothing.
        """
        dream = self._dream_index.find(job_id)
        if dream is None and self._dream_index.is_deleted(job_id):
            return
        self._delete(job_id, _get_photo_id(self._get_dream(job_id)))

    def read_scores(self, job_ids: Sequence[str]) -> dict[str, ModerationScores | None]:
        """Return the scores of the network that moderates, by job id; None if no network has scored the dream.

        They do not change, so each sidecar is read once. Raises StoreError.
        """
        unread = [job_id for job_id in job_ids if job_id not in self._scores]
        with ThreadPoolExecutor(MAX_PARALLEL_READS, "score-reader") as readers:
            for sidecar in readers.map(partial(read_sidecar, self._store), unread):
                if sidecar:
                    self._scores[sidecar.job_id] = sidecar.moderation
        return {job_id: self._scores.get(job_id) for job_id in job_ids}

    def resubmit_with_recipe(self, job_id: str, recipe: str) -> str:
        """Submit the photo of a dream with another recipe, and return the new job's id. Raises ArtDreamError."""
        dream = self._get_dream(job_id)
        require_photo(self._store, _get_photo_id(dream), f"dream {job_id[:8]}")
        job = Job(
            photo_id=_get_photo_id(dream),
            recipe=load_recipe(recipe),
            lane=Lane.LIVE,
            submitter="console",
            origin=Origin.CONSOLE,
        )
        self._submit_anew(job)
        return job.id

    def retry(self, job_id: str) -> None:
        """Queue a failed job again. Raises ArtDreamError, also if the job is unknown or its photo is missing."""
        with self._open_table() as table:
            job = table.get_job(job_id)
        if job is None:
            raise ArtDreamError(f"Job {job_id[:8]} is not known to the broker any longer: send its photo again.")
        require_photo(self._store, job.photo_id, f"job {job_id[:8]}")
        self._submit_anew(job)

    def submit(self, job: Job) -> bool:
        """Submit a job whose photo is in the store; False if it is queued, running, completed or deleted already.

        Raises ArtDreamError.
        """
        with self._open_table() as table, create_celery_app(self._settings) as app:
            return submit(app, table, job)

    def open_event(self) -> None:
        """Start a new event of the exhibition: wall and gallery start empty. Raises ArtDreamError.

        Earlier dreams stay in the store.
        """
        with self._use_broker() as client:
            seconds, _ = client.time()
        self.change_settings(opened_at=seconds)

    def change_settings(self, **changes: object) -> None:
        """Change runtime settings in the broker, and persist them in the store. Raises ArtDreamError.

        changes: fields of RuntimeSettings. If only the store is unavailable, the change takes effect all the same and
        is persisted as soon as the store is back.
        """
        with self._use_broker() as client:
            update_runtime_settings(client, **changes)
        try:
            self.persist_settings()
        except StoreError as error:
            raise ArtDreamError(
                f"It is decided, and noted in the store as soon as that can be reached: {error}"
            ) from error

    def start_canary(self, text: str, percent: int) -> Recipe:
        """Let a percentage of the guests' photos get a new version of a recipe, and return it. Raises ArtDreamError.

        text: of the recipe's file. A version that cannot be compared with the current one is refused.
        """
        runtime_settings = self.read_settings()
        guest_recipes = load_guest_recipes(self._settings, runtime_settings)
        candidate = parse_candidate(text, guest_recipes, runtime_settings.canary, self._store)
        self.change_settings(canary=Canary(candidate=candidate, percent=percent))
        return candidate

    def change_canary_share(self, percent: int) -> None:
        """Change the percentage of photos that get the candidate; 0 ends the canary. Raises ArtDreamError."""
        canary = self.read_settings().canary
        if canary is None:
            raise ArtDreamError("There is no candidate: choose a recipe file first.")
        self.change_settings(canary=Canary(candidate=canary.candidate, percent=percent))

    def read_settings(self) -> RuntimeSettings:
        """Return the runtime settings; restore them first if the broker was wiped. Raises ArtDreamError."""
        self.restore_settings()
        with self._use_broker() as client:
            return read_runtime_settings(client, self._settings)

    def find_settings(self) -> RuntimeSettings | None:
        """Return the runtime settings without asking the store; None if the broker was wiped. Raises ArtDreamError.

        The event file of this display counts, which was started last, also before its appearance is published.
        """
        is_published = self._is_appearance_published
        with self._use_broker() as client:
            if not client.hexists(RUNTIME_SETTINGS_KEY, INITIALIZED_FIELD):
                return None
            runtime_settings = read_runtime_settings(client, self._settings)
        if self._event_appearance is None or is_published:
            return runtime_settings
        return runtime_settings.model_copy(update={"appearance_default": self._event_appearance.appearance})

    def restore_settings(self) -> None:
        """Restore the runtime settings, and which dreams are not visible, in a wiped broker. Raises ArtDreamError."""
        with self._use_broker() as client:
            if initialize_runtime_settings(client, self._store, approval=self._settings.approval):
                self._restore_visibility(client)

    def publish_appearance(self) -> None:
        """Let every component know the event file: once, and again if the broker has lost it. Raises ArtDreamError."""
        if self._event_appearance is None:
            return
        with self._use_broker() as client:
            if self._is_appearance_published and client.hexists(RUNTIME_SETTINGS_KEY, "appearance_default"):
                return
            if logo := self._event_appearance.logo:
                self._store.put(logo.object_name, logo.png)
            appearance = self._event_appearance.appearance
            if read_runtime_settings(client, self._settings).appearance_default != appearance:
                update_runtime_settings(client, appearance_default=appearance.model_dump())
            self._is_appearance_published = True

    def change_appearance(self, appearance: Appearance) -> None:
        """Make an event look different from its event file, in the fields that differ. Raises ArtDreamError."""
        default = self.read_settings().appearance_default
        changes = {name: value for name, value in appearance if value != getattr(default, name)}
        self.change_settings(appearance_changes=changes)

    def store_logo(self, data: bytes) -> str:
        """Store a picture as a logo, and return its object name. Raises ArtDreamError if it cannot be used."""
        logo = prepare_logo(data)
        self._store.put(logo.object_name, logo.png)
        return logo.object_name

    def restore_visibility(self) -> None:
        """Mark all held and hidden dreams in the broker, which a wiped broker needs. Raises ArtDreamError."""
        with self._use_broker() as client:
            self._restore_visibility(client)

    def persist_settings(self) -> None:
        """Persist the runtime settings in the store if they have changed. Raises ArtDreamError."""
        with self._use_broker() as client:
            initialize_runtime_settings(client, self._store, approval=self._settings.approval)
            self._persisted = persist_runtime_settings(client, self._store, self._persisted)

    def clean_up(self) -> int:
        """Finish pending deletions, then delete dreams and photos older than `retention_days` (0: none).

        What jobs left that failed or were cancelled counts as a pending deletion, too.
        Returns the number of dreams that exceeded the retention. Raises ArtDreamError if store or broker is
        unavailable; the next call resumes.
        """
        with self._use_broker() as client:
            for pending in cast("set[str]", client.smembers(PENDING_DELETIONS_KEY)):
                self._delete_files(*pending.split(" "))
            table = JobTable(client)
            for job_id in table.list_leftovers():
                delete_leftovers(table, self._store, job_id)
            days = read_runtime_settings(client, self._settings).retention_days
        if not days:
            return 0
        cutoff = time.time() - days * _DAY_SECONDS
        expired_dreams = [dream for dream in self._dream_index.list_all() if dream.completed_at < cutoff]
        for dream in expired_dreams:
            self._delete(dream.job_id, _get_photo_id(dream))
        if self._dream_index.is_complete:
            self._delete_leftovers(cutoff)
        if expired_dreams:
            logger.info("%d dreams were older than %d days, and were deleted", len(expired_dreams), days)
        return len(expired_dreams)

    def _delete_leftovers(self, cutoff: float) -> None:
        """Delete photos and frames of jobs that never completed, and that are older than an epoch time."""
        with self._use_broker() as client:
            used_ids = self._list_photo_ids_beyond_index(client)
        dreams = self._dream_index.list_all()  # last: it may have got a dream meanwhile
        used_ids |= {_get_photo_id(dream) for dream in dreams} | {dream.job_id for dream in dreams}
        for prefix in ("photos/", DREAMS_PREFIX):
            for entry in list(self._store.list_objects(prefix)):
                is_used = entry.name.split("/")[1].partition(".")[0] in used_ids
                if entry.modified.timestamp() < cutoff and not is_used:
                    self._store.delete(entry.name)

    def _delete(self, job_id: str, photo_id: str) -> None:
        with self._use_broker() as client:
            client.sadd(PENDING_DELETIONS_KEY, f"{job_id} {photo_id}")
            JobTable(client).delete(job_id, photo_id)
        self._dream_index.delete(job_id)  # at once: the event arrives a moment later
        try:
            self._delete_files(job_id, photo_id)
        except StoreError as error:
            raise ArtDreamError(
                f"Dream {job_id[:8]} is no longer shown, but its files are still in the store: {error} "
                "They are deleted as soon as it can be reached."
            ) from error

    def _delete_files(self, job_id: str, photo_id: str) -> None:
        """Delete the objects of a deleted dream.

        The deletion stays pending while an unfinished job needs the photo, and until all dreams are known.
        """
        if not has_tombstone(self._store, job_id):
            write_tombstone(self._store, job_id)
        delete_dream_objects(self._store, job_id)
        photo = photo_name(photo_id)
        with self._use_broker() as client:
            used_beyond_index = self._list_photo_ids_beyond_index(client)
            if not any(dream.photo == photo for dream in self._dream_index.list_all()):
                if photo_id in used_beyond_index or not self._dream_index.is_complete:
                    return
                delete_photo_objects(self._store, photo_id)
            client.srem(PENDING_DELETIONS_KEY, f"{job_id} {photo_id}")

    def _list_photo_ids_beyond_index(self, client: redis.Redis) -> set[str]:
        """Return the ids of the photos of unfinished jobs, and of new dreams that the index does not have yet.

        Read the index afterwards, or a job that is completed meanwhile may be missed.
        """
        photo_ids = JobTable(client).list_unfinished_photo_ids()
        reader = EventReader(client, self._dream_index.last_event_id)
        while events := reader.read():
            photo_ids |= {
                recorded.event.photo_id
                for recorded in events
                if isinstance(recorded.event, Completed) and not self._dream_index.is_known(recorded.event.job_id)
            }
        return photo_ids

    def _restore_visibility(self, client: redis.Redis) -> None:
        dreams = self._dream_index.list_all()
        JobTable(client).restore_holds([dream.job_id for dream in dreams if dream.visibility is not Visibility.SHOWN])

    def _submit_anew(self, job: Job) -> None:
        if not self.submit(job):
            with self._open_table() as table:
                raise ArtDreamError(f"There is nothing to dream again: the job is {table.get_state(job.id)}.")

    def _set_visibility(self, job_id: str, visibility: Visibility) -> Sidecar:
        """Write a dream's visibility to its sidecar, so that it survives the loss of the broker; return the sidecar."""
        sidecar = read_sidecar(self._store, job_id)
        if sidecar is None:
            raise ArtDreamError(f"Dream {job_id[:8]} is not in the store, or its sidecar is damaged.")
        updated = sidecar.model_copy(update={"standing": visibility})
        self._store.put(sidecar_name(job_id), updated.model_dump_json(indent=1).encode())
        return updated

    def _get_dream(self, job_id: str) -> Dream:
        if dream := self._dream_index.find(job_id):
            return dream
        raise ArtDreamError(f"There is no dream {job_id[:8]}.")

    @contextmanager
    def _open_table(self) -> Iterator[JobTable]:
        with self._use_broker() as client:
            yield JobTable(
                client,
                approval=self._settings.approval,
                initialize=lambda: initialize_runtime_settings(client, self._store, approval=self._settings.approval),
            )

    @contextmanager
    def _use_broker(self) -> Iterator[redis.Redis]:
        """Yield a client of the broker. Errors of it in the block are raised as ArtDreamError, with a sentence."""
        try:
            yield self._broker.get()
        except redis.RedisError as error:
            raise ArtDreamError(f"{describe_error(error)} Try again then.") from error


def _get_photo_id(dream: Dream) -> str:
    return PurePosixPath(dream.photo).stem
