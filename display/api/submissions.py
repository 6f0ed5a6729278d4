"""Submissions: a photo, uploaded or already in the store, becomes a job, through the same intake as guests' photos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import redis
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ValidationError

from display.api.access import SubmitKey, require_scope, use_quota
from display.api.form import PHOTO_FIELD, FormError, PhotoFormReader
from display.api.problems import ApiProblem, ProblemType, document_problems, list_field_errors
from display.api.services import ApiServices, Services, make_unavailable_problem
from display.api.states import make_resource
from display.job_resources import KnownJob, read_jobs
from display.uploads.folder import UploadRejected
from shared.api.jobs import ApiJobs, Registration, RegistrationOutcome
from shared.api.keys import ApiKey, Scope
from shared.api.resources import (
    API_PATH,
    JOB_NAME_PATTERN,
    FieldError,
    JobResource,
    PhotoForm,
    StoredPhotoRequest,
)
from shared.errors import ArtDreamError
from shared.guest_upload_names import GuestUpload
from shared.jobs.job import Job, Lane, Origin, State
from shared.monitoring.usage_counts import Counted
from shared.recipe.canary import Assignment
from shared.recipe.painters import painters_by_recipe
from shared.recipe.recipe import Recipe, list_recipe_names, load_recipe
from shared.storage.object_names import photo_name, working_photo_name
from shared.storage.store import StoreError

FormModel = TypeVar("FormModel", bound=BaseModel)

#: Bytes of a request in JSON, at most.
_MAX_JSON_BYTES = 4000

#: States in which a submission of the same job queues it again.
_RESUBMITTED_STATES = (State.FAILED, State.CANCELLED)

#: Reason for which the intake rejects an upload → problem and its detail.
_REJECTIONS = {
    "send_too_large": (ProblemType.TOO_LARGE, "The photo has more than {megabytes} MB."),
    "send_no_picture": (ProblemType.NOT_A_PICTURE, "The photo is no JPEG, PNG, WebP, TIFF, HEIC or AVIF."),
    "send_broken": (ProblemType.UPLOAD_BROKEN, "The photo did not arrive in full: send it again."),
    "send_busy": (ProblemType.BUSY, "Too many photos are on their way: try again in a moment."),
    "send_closed": (ProblemType.NO_PRODUCER, "No producer takes photos: start one with `artdream watch`."),
}

router = APIRouter()

_PROBLEMS = document_problems(
    ProblemType.UNAUTHORIZED,
    ProblemType.SCOPE_MISSING,
    ProblemType.PHOTO_NOT_FOUND,
    ProblemType.UPLOAD_BROKEN,
    ProblemType.CLIENT_ID_TAKEN,
    ProblemType.TOO_LARGE,
    ProblemType.NOT_A_PICTURE,
    ProblemType.UNSUPPORTED_MEDIA_TYPE,
    ProblemType.INVALID_REQUEST,
    ProblemType.QUOTA_EXCEEDED,
    ProblemType.BUSY,
    ProblemType.NO_PRODUCER,
    ProblemType.UNAVAILABLE,
)


def _document_body() -> dict[str, Any]:
    """Return the OpenAPI description of the body, which is read by hand because it is large."""
    form = PhotoForm.model_json_schema(ref_template="#/components/schemas/{model}")
    form.pop("$defs", None)
    photo = {"type": "string", "format": "binary", "description": "The photo: JPEG, PNG, WebP, TIFF, HEIC or AVIF."}
    form["properties"] = {PHOTO_FIELD: photo} | form["properties"]
    form["required"] = [PHOTO_FIELD, *form["required"]]
    stored = {"$ref": f"#/components/schemas/{StoredPhotoRequest.__name__}"}
    content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": stored}}
    return {"requestBody": {"required": True, "content": content}}


_RESPONSES = _PROBLEMS | {
    200: {"model": JobResource, "description": "The job was known already; it is as it was."},
    202: {"description": "The photo is accepted."},
}


@router.post("/jobs", status_code=202, responses=_RESPONSES, openapi_extra=_document_body())
async def submit(request: Request, response: Response, services: Services, key: SubmitKey) -> JobResource:
    """Submit a photo. The same photo, recipe and seed are the same job, however often they are submitted.

    A job that failed or was cancelled is queued again.
    """
    return await _Submission(services, request, response, key, None).run()


@router.put("/jobs/{job}", status_code=202, responses=_RESPONSES, openapi_extra=_document_body())
async def submit_as(
    job: Annotated[str, Path(description="Your id for the job.", pattern=JOB_NAME_PATTERN)],
    request: Request,
    response: Response,
    services: Services,
    key: SubmitKey,
) -> JobResource:
    """Submit a photo under an id of your own: sent again, it answers the same again and submits nothing.

    Another photo, recipe, seed or lane under the same id is a conflict. The id is valid for 30 days, for this key only.
    """
    return await _Submission(services, request, response, key, job).run()


@dataclass
class _Submission:
    """One request that submits a photo."""

    services: ApiServices
    request: Request
    response: Response
    key: ApiKey
    client_id: str | None

    async def run(self) -> JobResource:
        """Submit the photo, and return its job. Raises ApiProblem."""
        media_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        async with use_quota(self.services, self.key, self.response) as use:
            match media_type:
                case "multipart/form-data":
                    known, use.is_new = await self._submit_upload()
                case "application/json":
                    known, use.is_new = await self._submit_stored_photo()
                case _:
                    raise ApiProblem(
                        ProblemType.UNSUPPORTED_MEDIA_TYPE,
                        "Send a form (multipart/form-data) with the photo, or JSON (application/json) that names one.",
                    )
        self.response.status_code = 202 if use.is_new else 200
        self.response.headers["Location"] = f"{API_PATH}/jobs/{known.job_id}"
        return make_resource(self.services, self.request, known)

    async def _submit_upload(self) -> tuple[KnownJob, bool]:
        """Receive the photo in a form; return its job, and whether this call submitted it."""
        intake = self.services.intake
        try:
            form = PhotoFormReader(self.request.headers["content-type"])
            async with (
                intake.admit(),
                intake.receive(form.iterate_photo(self.request.stream())) as draft,
            ):
                fields = _validate(PhotoForm, form.fields)
                job = self._make_job(draft.photo_id, fields.recipe, fields.seed, fields.lane)
                registration, known = await self._register(job)
                if not self._needs_submission(registration, known):
                    return known, False
                if known.record and await self._has_photo(job.photo_id):  # it failed, or was cancelled
                    return await self._queue(job)
                upload = GuestUpload(self.key.id, job.id, Origin.API, job.lane, job.seed)
                await intake.publish(draft, Assignment(job.recipe), upload)
                return known, True
        except FormError as error:
            problem = _make_field_problem(error.detail, error.field)
        except UploadRejected as rejected:
            cause = rejected.text_key.removeprefix("send_")
            self.services.event_hub.usage_recorder.record(Counted.REFUSED, Origin.API, cause)
            problem_type, detail = _REJECTIONS[rejected.text_key]
            headers = {"Retry-After": "5"} if problem_type.status == 503 else {}
            detail = detail.format(megabytes=self.services.settings.max_file_mb)
            problem = ApiProblem(problem_type, detail, headers=headers)
        # A client that is still sending reads no answer before it has finished.
        await intake.drain(self.request.stream())
        problem.headers["Connection"] = "close"
        raise problem

    async def _submit_stored_photo(self) -> tuple[KnownJob, bool]:
        """Submit the photo that a request in JSON names; return as `_submit_upload`."""
        require_scope(self.key, Scope.STORE)
        wanted = _validate(StoredPhotoRequest, await self._read_json())
        photo_id = wanted.photo.removeprefix("photos/").removesuffix(".jpg")
        if not await self._has_photo(photo_id):
            raise ApiProblem(ProblemType.PHOTO_NOT_FOUND, f"The store has no photo {wanted.photo}.")
        job = self._make_job(photo_id, wanted.recipe, wanted.seed, wanted.lane)
        registration, known = await self._register(job)
        if not self._needs_submission(registration, known):
            return known, False
        return await self._queue(job)

    def _make_job(self, photo_id: str, recipe_name: str, seed: int, lane: Lane) -> Job:
        """Return the job of a photo. Raises ApiProblem if the key may not submit it, or there is no such recipe."""
        if lane is Lane.BATCH:
            require_scope(self.key, Scope.BATCH)
        recipe = find_recipe(self.services, self.key, recipe_name)
        return Job(photo_id=photo_id, recipe=recipe, seed=seed, lane=lane, submitter=self.key.id, origin=Origin.API)

    async def _register(self, job: Job) -> tuple[Registration, KnownJob]:
        """Register a job, and return what is known of the job that has the client's id. Raises ApiProblem."""

        def register(client: redis.Redis) -> tuple[Registration, KnownJob]:
            registration = ApiJobs(client).register(self.key.id, job, self.client_id)
            return registration, read_jobs(client, [registration.job_id])[0]

        # In one call: each one costs a program milliseconds beside a worker that keeps all cores busy.
        registration, known = await self.services.ask_broker(register)
        if registration.outcome is RegistrationOutcome.CONFLICT:
            raise ApiProblem(
                ProblemType.CLIENT_ID_TAKEN,
                f"The id “{self.client_id}” names job {registration.job_id} with another photo, recipe, seed or lane.",
            )
        return registration, known

    def _needs_submission(self, registration: Registration, known: KnownJob) -> bool:
        """Return whether a job has to be submitted.

        A job that its client has named is submitted once, and again only if a display was killed before it had done so.
        """
        if known.record is None:
            is_indexed = self.services.event_hub.dream_index.is_known(known.job_id)
            return not is_indexed and known.registered.refusal is None
        return registration.outcome is RegistrationOutcome.REGISTERED and known.record.state in _RESUBMITTED_STATES

    async def _queue(self, job: Job) -> tuple[KnownJob, bool]:
        """Queue the job of a photo in the store, as the console does; return as `_submit_upload`."""

        def queue(client: redis.Redis) -> tuple[KnownJob, bool]:
            is_new = self.services.event_hub.moderation.submit(job)
            return read_jobs(client, [job.id])[0], is_new

        return await self.services.ask_broker(queue)

    async def _has_photo(self, photo_id: str) -> bool:
        store = self.services.pictures.store
        try:
            for name in (photo_name(photo_id), working_photo_name(photo_id)):
                if await store.get_size_async(name) is not None:
                    return True
        except StoreError as error:
            raise make_unavailable_problem(str(error)) from error
        return False

    async def _read_json(self) -> bytes:
        body = b""
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > _MAX_JSON_BYTES:
                raise ApiProblem(ProblemType.TOO_LARGE, f"A request in JSON has at most {_MAX_JSON_BYTES} bytes.")
        return body


def find_recipe(services: ApiServices, key: ApiKey, name: str) -> Recipe:
    """Return a recipe that a key may use. Raises ApiProblem."""
    if recipe := services.guest_recipes.get(name):
        return recipe
    try:
        recipe = load_recipe(name)
    except ArtDreamError as error:
        raise _make_field_problem(str(error), "recipe") from None
    require_scope(key, Scope.RECIPES)
    return recipe


def list_recipes(services: ApiServices, key: ApiKey) -> list[Recipe]:
    """Return the recipes that a key may use, those of guests first."""
    recipes = dict(services.guest_recipes)
    if Scope.RECIPES in key.scopes:
        recipes |= {name: load_recipe(name) for name in (*list_recipe_names(), *painters_by_recipe())}
    return list(recipes.values())


def _validate(model: type[FormModel], content: bytes | Mapping[str, str]) -> FormModel:
    """Return the fields of a form, or what a request in JSON holds. Raises ApiProblem."""
    try:
        return model.model_validate_json(content) if isinstance(content, bytes) else model.model_validate(content)
    except ValidationError as error:
        raise _make_body_problem(list_field_errors(error.errors(), "body")) from None


def _make_field_problem(detail: str, field: str) -> ApiProblem:
    return _make_body_problem([FieldError(field=f"body.{field}" if field else "body", detail=detail)])


def _make_body_problem(errors: Sequence[FieldError]) -> ApiProblem:
    return ApiProblem(ProblemType.INVALID_REQUEST, "The body is invalid: see errors for what and where.", errors=errors)
