"""Upload intake: receives photos of phones and programs within the same limits, for the producer."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect

from display.uploads.folder import UploadDraft, UploadFolder, UploadRejected
from display.web.threads import run_in_thread
from shared.guest_upload_names import GuestUpload
from shared.recipe.canary import Assignment
from shared.settings import Settings

logger = logging.getLogger(__name__)

#: Concurrent uploads, and files that wait for the producer. Further uploads are rejected, so that the disk cannot fill.
MAX_CONCURRENT_UPLOADS, MAX_WAITING_UPLOADS = 16, 200

#: Bytes that are read of an upload that was rejected: most photos, because browsers show no answer before that.
_MAX_DRAINED_BYTES = 20_000_000

#: Seconds without a byte after which an upload is aborted.
_STALL_TIMEOUT_SECONDS = 30.0

#: Uploaded jobs that are remembered: until their first event nothing else is known of them.
_MAX_RECEIVED_JOBS = 10_000


class UploadIntake:
    """Receives uploads within the limits. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Remove partial uploads of a display that was killed."""
        self._folder = UploadFolder(
            settings.data, max_file_bytes=1_000_000 * settings.max_file_mb, max_waiting=MAX_WAITING_UPLOADS
        )
        self._folder.remove_abandoned()
        self._active_uploads = 0
        self._active_drains = 0
        self._received_jobs = OrderedDict[str, None].fromkeys(self._folder.list_waiting())

    async def is_open(self) -> bool:
        """Return whether a producer takes the photos that are received."""
        return await run_in_thread(lambda: self._folder.is_taken)

    def is_received(self, job_id: str) -> bool:
        """Return whether the photo of a job was uploaded here, whatever the job's state is by now."""
        return job_id in self._received_jobs

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Admit an upload while the context lasts. Raises UploadRejected, also for what ends the upload in it."""
        if self._active_uploads >= MAX_CONCURRENT_UPLOADS:
            raise UploadRejected("send_busy", 503)
        self._active_uploads += 1
        try:
            is_open, is_full = await run_in_thread(lambda: (self._folder.is_taken, self._folder.is_full))
            if not is_open or is_full:
                raise UploadRejected("send_busy" if is_open else "send_closed", 503)
            yield
        except OSError as error:
            logger.warning("An uploaded photo could not be written: %s", error.strerror or error)
            raise UploadRejected("send_busy", 503) from error
        except (TimeoutError, ClientDisconnect) as error:
            raise UploadRejected("send_broken", 408) from error
        finally:
            self._active_uploads -= 1

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[UploadDraft]:
        """Write an admitted upload to a draft, which is removed at the end of the context unless it was published.

        Raises UploadRejected if it is too large or no accepted picture; OSError, TimeoutError and ClientDisconnect are
        for `admit`.
        """
        async with self._folder.receive(iterate_with_timeout(chunks)) as draft:
            yield draft

    async def publish(self, draft: UploadDraft, assignment: Assignment, upload: GuestUpload) -> None:
        """Let the producer take a draft. Raises OSError."""
        await self._folder.publish(draft, assignment, upload)
        self._received_jobs[upload.job_id] = None
        while len(self._received_jobs) > _MAX_RECEIVED_JOBS:
            self._received_jobs.popitem(last=False)

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        """Read and discard the rest of a rejected upload, as far as the limits allow.

        A browser shows no answer before its upload ends; it reports a broken connection instead.
        """
        if self._active_drains >= MAX_CONCURRENT_UPLOADS:
            return
        self._active_drains += 1
        drained_bytes = 0
        try:
            async for chunk in iterate_with_timeout(chunks):
                drained_bytes += len(chunk)
                if drained_bytes > _MAX_DRAINED_BYTES:
                    return
        except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: the stream was read already
            return
        finally:
            self._active_drains -= 1


async def iterate_with_timeout(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks. Raises TimeoutError after _STALL_TIMEOUT_SECONDS without one."""
    while True:
        async with asyncio.timeout(_STALL_TIMEOUT_SECONDS):
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return
        yield chunk
