"""The application of the API: its routes, its errors as problems, and its OpenAPI document."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from display.api import events, installation, jobs, submissions
from display.api.problems import ApiProblem, ProblemType, list_field_errors
from display.api.services import ApiServices
from display.web.security_headers import DENY_ALL_CSP, SecurityHeadersMiddleware
from shared.api.resources import API_PATH, JobEvent, Problem, StoredPhotoRequest

#: Version of the API. What a version has stays; new fields, states, problems and paths may come.
API_VERSION = "1"

#: Modules with routes, in the order of the document.
_MODULES = (submissions, jobs, events, installation)

#: Schemas that FastAPI does not find by itself: of errors, of events, and of a body that is read by hand.
_EXTRA_MODELS = (Problem, JobEvent, StoredPhotoRequest)

#: Schemas of FastAPI's own errors, which this API does not send.
_UNUSED_SCHEMAS = ("HTTPValidationError", "ValidationError")

_DESCRIPTION = "Submit photos, follow them, and fetch their dreams. The guide is docs/http-api.md."


def create_api(services: ApiServices | None) -> FastAPI:
    """Return the application. services: of the running display; None if only the document is wanted."""
    app = FastAPI(
        title="ArtDream",
        version=API_VERSION,
        description=_DESCRIPTION,
        servers=[{"url": API_PATH}],
        root_path_in_servers=False,
        # The pages with an explorer load it from elsewhere, which no page of the display does.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(SecurityHeadersMiddleware, headers=DENY_ALL_CSP | {"Cache-Control": "no-store"})],
        exception_handlers={
            ApiProblem: _answer_problem,
            RequestValidationError: _answer_invalid_request,
            HTTPException: _answer_http_error,
            Exception: _answer_fault,
        },
    )
    app.state.services = services
    for module in _MODULES:
        app.include_router(module.router)
    app.openapi = lambda: build_document(app)  # type: ignore[method-assign]
    return app


def build_document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the application."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        schemas = document["components"]["schemas"]
        for name in _UNUSED_SCHEMAS:
            schemas.pop(name, None)
        for model in _EXTRA_MODELS:
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        document["components"]["schemas"] = dict(sorted(schemas.items()))
        app.openapi_schema = document
    return app.openapi_schema


async def _answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiProblem)  # noqa: S101  for the type checker
    return error.to_response()


async def _answer_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    detail = "A part of the request is invalid: see errors for what and where."
    return ApiProblem(ProblemType.INVALID_REQUEST, detail, errors=list_field_errors(error.errors())).to_response()


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == ProblemType.METHOD_NOT_ALLOWED.status:
        detail = f"This path does not take {request.method}."
        headers = {"Allow": ", ".join(_list_methods(request.scope["path"].removeprefix(API_PATH)))}
        return ApiProblem(ProblemType.METHOD_NOT_ALLOWED, detail, headers=headers).to_response()
    return ApiProblem(
        ProblemType.NOT_FOUND, f"The API has no such path; {API_PATH}/openapi.json lists all."
    ).to_response()


def _list_methods(path: str) -> list[str]:
    """Return the methods that a path takes; Starlette names those of one route only."""
    routes = (route for module in _MODULES for route in module.router.routes if isinstance(route, Route))
    methods = (route.methods or set() for route in routes if route.path_regex.match(path))
    return sorted(set[str]().union(*methods))


async def _answer_fault(_: Request, error: Exception) -> Response:  # noqa: ARG001  the server logs it
    return ApiProblem(
        ProblemType.INTERNAL_ERROR, "This is a fault of the display; its log has the details."
    ).to_response()
