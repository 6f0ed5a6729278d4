"""Who may use the API, how every error looks, and what its document says."""

import hashlib
import json
from pathlib import Path

import pytest

from display.api.problems import ProblemType
from shared.api.keys import ApiKeys, Scope
from shared.redis_keys import API_KEYS_KEY
from shared.settings import Settings
from tests.display.api.conftest import MakeProgram, Program
from tests.display.conftest import running_display
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import send_request
from tests.stack import free_port
from tools.openapi import render_document

ROOT = Path(__file__).parents[3]

CALLS = [
    *[("GET", path) for path in ("/jobs", "/jobs/a", "/recipes", "/health", "/events")],
    *[("POST", path) for path in ("/jobs", "/jobs/a/cancel", "/jobs/a/retry")],
    ("PUT", "/jobs/a"),
]


def test_without_a_valid_key_every_call_is_refused_alike(program: Program, make_program: MakeProgram) -> None:
    key_id, secret = program.key.removeprefix("artdream_").split("_", 1)
    other = make_program().key
    wrong = ["", "x", key_id, secret, program.key[:-1], f"artdream_{key_id}_{other[-43:]}", "é" * 9]
    answers = set()
    for method, path in CALLS:
        for key in wrong:
            answer = Program(program.port, key.encode().decode("latin-1")).call(method, path)
            assert (answer.status, answer.problem) == (401, "unauthorized"), (method, path, key)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            answers.add(answer.body)
    assert len(answers) == 1


def test_a_key_is_shown_in_the_header_alone(program: Program) -> None:
    path = f"/jobs?key={program.key}&access_token={program.key}"
    assert Program(program.port, "").call("GET", path, Cookie=f"key={program.key}").status == 401
    assert Program(program.port, "").call("GET", path, Authorization=f"Basic {program.key}").status == 401


def test_a_revoked_key_is_refused_at_once_and_a_wiped_broker_restores_neither_more_nor_less(
    make_program: MakeProgram, pipeline: FakePipeline
) -> None:
    revoked, valid = make_program(), make_program()
    keys = ApiKeys(pipeline.client, pipeline.store)
    assert revoked.call("GET", "/jobs").status == 200
    keys.revoke(revoked.key.split("_")[1])
    assert revoked.call("GET", "/jobs").status == 401
    pipeline.client.delete(API_KEYS_KEY)
    assert [program.call("GET", "/jobs").status for program in (revoked, valid)] == [401, 200]


def test_only_a_hash_of_a_key_is_kept(program: Program, pipeline: FakePipeline, api_settings: Settings) -> None:
    secret = program.key[-43:]
    kept = json.dumps(pipeline.client.hgetall(API_KEYS_KEY))
    files = [path.read_bytes() for path in (api_settings.data).rglob("*") if path.is_file()]
    digest = hashlib.sha256(secret.encode()).hexdigest()
    assert digest in kept
    assert any(digest.encode() in file for file in files)
    assert secret not in kept
    assert not any(secret.encode() in file for file in files)


@pytest.mark.parametrize(
    ("method", "path", "status", "problem"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/jobs/", 404, "not-found"),
        ("DELETE", "/jobs/a", 405, "method-not-allowed"),
        ("OPTIONS", "/jobs", 405, "method-not-allowed"),
        ("GET", "/jobs/a%0Ab", 422, "invalid-request"),
        ("GET", "/a%0Ab", 404, "not-found"),
        ("GET", "/jobs/a%20b", 422, "invalid-request"),
        ("GET", "/jobs?limit=0", 422, "invalid-request"),
        ("GET", "/jobs?limit=x", 422, "invalid-request"),
        ("GET", "/jobs?cursor=x", 422, "invalid-request"),
        ("GET", "/jobs?limits=1", 422, "invalid-request"),
        ("GET", "/jobs/unknown", 404, "job-not-found"),
    ],
)
def test_every_error_is_a_problem(program: Program, method: str, path: str, status: int, problem: str) -> None:
    answer = program.call(method, path)
    assert (answer.status, answer.problem) == (status, problem)
    assert answer.json["title"]
    assert answer.json["detail"].endswith((".", "what and where."))
    assert "Traceback" not in answer.body.decode()


def test_a_path_names_all_methods_that_it_takes(program: Program) -> None:
    """Seen failing: those of one route only."""
    for path, methods in (
        ("/jobs", "GET, POST"),
        ("/jobs/a", "GET, PUT"),
        ("/jobs/a/retry", "POST"),
        ("/health", "GET"),
    ):
        assert program.call("DELETE", path).headers["Allow"] == methods


def test_answers_are_not_cached_not_framed_and_not_for_other_sites(program: Program) -> None:
    for path in ("/jobs", "/nothing", "/openapi.json"):
        headers = program.call("GET", path, Origin="https://elsewhere.example").headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; base-uri 'none'")
        assert headers["Access-Control-Allow-Origin"] is None


def test_the_document_needs_no_key_and_is_the_one_in_the_documentation(program: Program) -> None:
    served = Program(program.port, "").call("GET", "/openapi.json")
    assert served.status == 200
    assert served.json["openapi"].startswith("3.1")
    assert (ROOT / "docs" / "openapi.json").read_text() == render_document(), "run `make openapi`"
    assert served.json == json.loads(render_document())


def test_the_guide_explains_every_problem_state_and_scope() -> None:
    guide = (ROOT / "docs" / "http-api.md").read_text()
    for name in [problem.slug for problem in ProblemType] + list(Scope):
        assert f"| `{name}` |" in guide, name


def test_a_key_learns_which_recipes_it_may_use(program: Program, make_program: MakeProgram) -> None:
    guests = [recipe["name"] for recipe in program.call("GET", "/recipes").json["recipes"]]
    assert "more-paul-klee" in guests
    assert "deep" not in guests
    every = [recipe["name"] for recipe in make_program(Scope.RECIPES).call("GET", "/recipes").json["recipes"]]
    assert every[: len(guests)] == guests
    assert "deep" in every
    assert len(every) == len(set(every)) > 100


def test_health_says_whether_photos_are_taken(program: Program) -> None:
    health = program.call("GET", "/health").json
    assert health["accepts_photos"] is True
    assert health.keys() == {"version", "accepts_photos", "waiting", "expected_seconds"}


def test_without_the_setting_there_is_no_api(api_settings: Settings, tmp_path: Path) -> None:
    settings = api_settings.model_copy(update={"api": False, "port": free_port(), "data": tmp_path / "data"})
    (tmp_path / "data").mkdir()
    with running_display(settings) as display:
        assert {send_request(display, f"/api/v1{path}").status for path in ("", "/", "/jobs", "/openapi.json")} == {404}
        assert send_request(display, "/api/v1/jobs", method="POST").status == 404
