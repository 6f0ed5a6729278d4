"""Client of the HTTP API: submit photos, follow their jobs, and fetch the dreams. It needs nothing but ArtDream itself.

The guide, docs/http-api.md, has a program.
"""

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ValidationError

from shared.api.resources import (
    API_PATH,
    Health,
    JobEvent,
    JobPage,
    JobResource,
    JobState,
    Problem,
    RecipeList,
    RecipeResource,
)
from shared.jobs.job import Lane

__all__ = ["ApiError", "Client", "Gap", "Health", "JobEvent", "JobResource", "JobState", "Lane", "RecipeResource"]

Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")

#: Files of a folder that are submitted.
PHOTO_SUFFIXES = {".avif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}

#: Problems of a photo itself: others of the same folder may be accepted.
_PHOTO_PROBLEMS = ("not-a-picture", "too-large")

#: Statuses after which the same request may succeed later.
_RETRIED_STATUSES = (408, 429, 503)

#: Seconds before the second attempt and before later ones, each twice as long, unless the display says when.
_FIRST_DELAY_SECONDS, _MAX_DELAY_SECONDS = 0.5, 30.0

#: Seconds between two looks at a job, at first and later.
_FIRST_POLL_SECONDS, _MAX_POLL_SECONDS = 0.1, 2.0

#: Bytes of a file that are sent, or received, at a time.
_CHUNK_BYTES = 1 << 16


class ApiError(Exception):
    """The API did not serve a request, or could not be reached."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        #: What the API answered; None if it could not be reached.
        self.problem = problem

    @property
    def name(self) -> str:
        """The name of the problem, as docs/http-api.md lists it; "" if the API could not be reached."""
        return self.problem.type.rpartition(":")[2] if self.problem else ""


class Gap(BaseModel):
    """Some events are no longer known: ask for the jobs."""


class Client:
    """A display's API, used with one key. A client may be used by several threads.

    A request that fails because display, broker or store is unavailable, or a quota is used up, is repeated, and so is
    one whose answer does not arrive in full: the same submission is the same job. All methods raise ApiError.
    """

    def __init__(self, url: str, key: str, *, timeout: float = 60.0, retry_seconds: float = 120.0) -> None:
        """url: of the display, without a path. timeout: seconds without an answer after which a request has failed.

        retry_seconds: for which a request is repeated; 0: not at all. Raises ValueError for a URL of no display.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"{url} is no address of a display: write it as http://127.0.0.1:8501.")
        self._url, self._key = url.rstrip("/"), key
        self._timeout, self._retry_seconds = timeout, retry_seconds
        self._opener = urllib.request.build_opener(_NoRedirects)

    def submit(
        self,
        photo: Path | str,
        recipe: str,
        *,
        seed: int = 0,
        lane: Lane = Lane.LIVE,
        client_id: str | None = None,
    ) -> JobResource:
        """Submit a photo, and return its job.

        client_id: an id of your own, under which nothing else can be submitted. Raises OSError if the file cannot be
        read.
        """
        form = _PhotoForm(Path(photo), {"recipe": recipe, "seed": str(seed), "lane": lane.value})
        return self._submit(form, client_id)

    def submit_folder(
        self,
        folder: Path | str,
        recipe: str,
        *,
        seed: int = 0,
        lane: Lane = Lane.LIVE,
        on_refused: Callable[[Path, ApiError], object] | None = None,
    ) -> Iterator[tuple[Path, JobResource]]:
        """Submit every photo in a folder, by name and without hidden files, and yield each with its job.

        on_refused: is called with a file that is no picture, or too large, and the error; None: it is raised. Raises
        OSError if a file cannot be read.
        """
        for path in sorted(Path(folder).iterdir()):
            if path.name.startswith(".") or path.suffix.lower() not in PHOTO_SUFFIXES or not path.is_file():
                continue
            try:
                job = self.submit(path, recipe, seed=seed, lane=lane)
            except ApiError as error:
                if on_refused is None or error.name not in _PHOTO_PROBLEMS:
                    raise
                on_refused(path, error)
            else:
                yield path, job

    def submit_stored(
        self, photo: str, recipe: str, *, seed: int = 0, lane: Lane = Lane.LIVE, client_id: str | None = None
    ) -> JobResource:
        """Submit a photo that is in the store already. photo: its object name, as the `photo` of a job."""
        request = {"photo": photo, "recipe": recipe, "seed": seed, "lane": lane.value}
        return self._submit(_JsonBody(request), client_id)

    def get_job(self, job: str) -> JobResource:
        """Return a job. job: its id, or your id for it."""
        return self._call(JobResource, "GET", _make_job_path(job))

    def list_jobs(self) -> Iterator[JobResource]:
        """Yield the key's jobs, newest first."""
        cursor = ""
        while True:
            page = self._call(JobPage, "GET", f"/jobs?cursor={cursor}")
            yield from page.jobs
            if page.next is None:
                return
            cursor = page.next

    def cancel(self, job: str) -> JobResource:
        """Cancel a job that is queued or started."""
        return self._call(JobResource, "POST", f"{_make_job_path(job)}/cancel")

    def retry(self, job: str) -> JobResource:
        """Queue a job again that failed or was cancelled."""
        return self._call(JobResource, "POST", f"{_make_job_path(job)}/retry")

    def wait(self, job: JobResource | str, *, seconds: float | None = None) -> JobResource:
        """Wait until a job has ended, and return it, whatever became of it.

        seconds: after which TimeoutError is raised; None: never. A dream that waits for approval has not ended.
        """
        name = job if isinstance(job, str) else job.id
        deadline = None if seconds is None else time.monotonic() + seconds
        pause = _FIRST_POLL_SECONDS
        while not (found := self.get_job(name)).state.is_final:
            if deadline is not None and time.monotonic() + pause > deadline:
                raise TimeoutError(f"Job {name} is still {found.state} after {seconds:g} s.")
            time.sleep(pause)
            pause = min(1.5 * pause, _MAX_POLL_SECONDS)
        return found

    def download(self, job: JobResource, target: Path | str) -> Path:
        """Write the dream of a completed job to a file, and return its path.

        Raises ValueError if the job has no dream to give out, OSError if the file cannot be written.
        """
        if job.links is None:
            raise ValueError(f"Job {job.id} is {job.state}, and has no dream to download.")
        target = Path(target)
        # The links lead to the display as phones reach it, which may be another address than this program's.
        url = self._url + urlsplit(job.links.dream).path
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")

        def save() -> None:
            with self._open("GET", url, key="") as response:
                try:
                    with draft.open("wb") as file:
                        file.writelines(_iter_chunks(response))
                except OSError as error:
                    raise _FileError(error) from error

        try:
            self._repeat(url, save)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return target

    def follow(self, last_event_id: str = "") -> Iterator[JobEvent | Gap]:
        """Yield the events of the key's jobs as they happen, without end; resume by itself when the connection is lost.

        last_event_id: an id of the event stream to begin after; "": now.
        """
        url = f"{self._url}{API_PATH}/events"
        while True:
            headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
            with self._repeat(url, partial(self._open, "GET", url, headers=headers)) as response:
                try:
                    for kind, event_id, data in _parse_events(response):
                        if kind == "job":
                            yield JobEvent.model_validate_json(data)
                        elif kind == "gap":
                            yield Gap()
                        last_event_id = event_id or last_event_id
                except (OSError, HTTPException):
                    pass  # the connection is lost
            time.sleep(_FIRST_DELAY_SECONDS)

    def list_recipes(self) -> list[RecipeResource]:
        """Return the recipes that the key may use."""
        return self._call(RecipeList, "GET", "/recipes").recipes

    def get_health(self) -> Health:
        """Return whether photos are taken now, and how long they wait."""
        return self._call(Health, "GET", "/health")

    def _submit(self, body: "_Body", client_id: str | None) -> JobResource:
        if not client_id:
            return self._call(JobResource, "POST", "/jobs", body)
        return self._call(JobResource, "PUT", _make_job_path(client_id), body)

    def _call(self, model: type[Model], method: str, path: str, body: "_Body | None" = None) -> Model:
        url = f"{self._url}{API_PATH}{path}"

        def read() -> bytes:
            with self._open(method, url, body) as response:
                return b"".join(_iter_chunks(response))

        text = self._repeat(url, read)
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            raise ApiError(f"{self._url} answers as no display of this version does: {error}.") from error

    def _open(
        self,
        method: str,
        url: str,
        body: "_Body | None" = None,
        *,
        headers: dict[str, str] | None = None,
        key: str | None = None,
    ) -> HTTPResponse:
        """Send a request once, and return the response. key: None for the client's. Raises what `_repeat` handles."""
        key = self._key if key is None else key
        all_headers = dict(headers or {}) | ({"Authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(url, method=method, headers=all_headers)  # noqa: S310  of the constructor
        if body is not None:
            request.data = body.read()  # which removes the header Content-Length
            request.add_header("Content-Type", body.content_type)
            request.add_header("Content-Length", str(body.size))
        response: HTTPResponse = self._opener.open(request, timeout=self._timeout)
        return response

    def _repeat(self, url: str, attempt: Callable[[], Result]) -> Result:
        """Try a request until it succeeds, and return its result. Raises ApiError, and the OSError of a file."""
        deadline, delay = time.monotonic() + self._retry_seconds, _FIRST_DELAY_SECONDS
        while True:
            try:
                return attempt()
            except urllib.error.HTTPError as error:
                failure = _to_api_error(error)
                is_temporary, wanted_delay = error.code in _RETRIED_STATUSES, error.headers.get("Retry-After", "")
            except _FileError as error:
                raise error.reason from None
            except (OSError, HTTPException) as error:
                failure = ApiError(f"{url} cannot be reached: {getattr(error, 'reason', error)}.")
                is_temporary, wanted_delay = True, ""
            pause = float(wanted_delay) if wanted_delay.isdecimal() else delay
            if not is_temporary or time.monotonic() + pause > deadline:
                raise failure
            time.sleep(pause)
            delay = min(2 * delay, _MAX_DELAY_SECONDS)


def _iter_chunks(response: HTTPResponse) -> Iterator[bytes]:
    """Yield the body of a response in parts. Raises HTTPException if it does not arrive in full."""
    try:
        while chunk := response.read(_CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise HTTPException(f"the connection was lost ({error})") from error
    if response.length:  # `read` does not tell a body that was cut from one that is complete
        raise IncompleteRead(b"", response.length)


def _make_job_path(job: str) -> str:
    return f"/jobs/{quote(job, safe='')}"


class _Body(Protocol):
    """The body of a request, which can be read again for each attempt."""

    content_type: str
    size: int

    def read(self) -> Iterable[bytes]:
        """Return the body in parts."""


class _JsonBody:
    """A body of JSON."""

    content_type = "application/json"

    def __init__(self, document: object) -> None:
        self._text = json.dumps(document).encode()
        self.size = len(self._text)

    def read(self) -> Iterable[bytes]:
        """Return the body in parts."""
        return [self._text]


class _PhotoForm:
    """A form with a file, which is read while it is sent."""

    def __init__(self, path: Path, fields: dict[str, str]) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        head = f"--{boundary}\r\nContent-Disposition: form-data; name="
        parts = [f'{head}"{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
        # The file's own name is not sent: it may say whose photo it is.
        self._before = "".join([*parts, f'{head}"photo"; filename="photo"\r\n\r\n']).encode()
        self._after = f"\r\n--{boundary}--\r\n".encode()
        self._path, self._file_size = path, path.stat().st_size
        self.size = len(self._before) + self._file_size + len(self._after)

    def read(self) -> Iterable[bytes]:
        """Yield the body in parts. Raises _FileError."""
        try:
            with self._path.open("rb") as file:
                yield self._before
                left = self._file_size
                while left:
                    chunk = file.read(min(left, _CHUNK_BYTES))
                    if not chunk:
                        raise OSError(f"{self._path} has become shorter while it was sent.")
                    left -= len(chunk)
                    yield chunk
        except OSError as error:
            raise _FileError(error) from error
        yield self._after


class _FileError(Exception):
    """A file here cannot be read or written. No OSError, which would be taken for one of the connection."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirects: the key would go with them."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return None: the redirect is an error."""


def _to_api_error(error: urllib.error.HTTPError) -> ApiError:
    """Return the error that an answer of the API means."""
    try:
        with error:
            problem = Problem.model_validate_json(error.read())
    except (OSError, HTTPException, ValidationError):
        return ApiError(f"{error.url} answers {error.code}, without a reason: is the API turned on there?")
    details = "".join(f" {one.field}: {one.detail}" for one in problem.errors)
    return ApiError(f"{problem.detail}{details}", problem)


def _parse_events(lines: IO[bytes]) -> Iterator[tuple[str, str, str]]:
    """Yield kind, id and data of server-sent events, each of whose fields has one line."""
    fields: dict[str, str] = {}
    for line in lines:
        text = line.decode().rstrip("\r\n")
        if text:
            name, _, value = text.partition(": ")
            fields[name] = value
        elif fields:
            yield fields.get("event", ""), fields.get("id", ""), fields.get("data", "")
            fields = {}
