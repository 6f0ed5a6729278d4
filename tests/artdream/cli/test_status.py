"""`artdream status`: what runs, what is queued and what failed, as text and as JSON for programs."""

import json

import redis

from artdream.cli.status import Status
from shared.jobs.events import EventLog, FileRejected
from shared.jobs.job import Job
from shared.jobs.queue import create_celery_app, submit
from shared.jobs.rejected_messages import RejectionReason, count_rejection
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.printing.prints import CONSOLE
from shared.printing.table import PrintTable
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from tests.stack import run_in_process


def test_text_and_json_say_the_same(settings: Settings, client: redis.Redis) -> None:
    HeartbeatRegistry(client).announce(Component.WORKER, "w1", "ready")
    submit(create_celery_app(settings), JobTable(client), Job(photo_id="a" * 64, recipe=load_recipe("lines")))
    EventLog(client).append(FileRejected(file="notes.heic", reason="is not a picture"))
    count_rejection(client, RejectionReason.NOT_JSON)
    assert PrintTable(client).request(settings, "b" * 32, CONSOLE, event=0.0) == "accepted"
    environment = {"ARTDREAM_BROKER_URL": settings.broker, "ARTDREAM_DATA": str(settings.data)}
    completed = run_in_process("status", "--json", folder=settings.inbox, environment=environment)
    assert (completed.returncode, completed.stderr) == (0, "")
    document = json.loads(completed.stdout)
    assert set(document) == set(Status.model_fields)
    [component] = document["components"]
    assert (component["part"], component["name"], component["state"]) == ("worker", "w1", "ready")
    assert document["outbox"] == 0
    assert document["queued"] == {"live": 1, "batch": 0}
    assert document["rejected_messages"] == {"is not JSON": 1}
    assert document["finished"] == {"dreams": 0, "failed_jobs": 0, "rejected_files": 1}
    assert document["prints"] == {"waiting": 1, "printed": 0}
    [error] = document["recent_errors"]
    assert (error["job_id"], error["file"], error["reason"]) == ("", "notes.heic", "is not a picture")
    lines = run_in_process("status", folder=settings.inbox, environment=environment).stdout.splitlines()
    assert lines[0].startswith("worker    w1                       ready for ")
    assert lines[1:5] == [
        "queued    1 live, 0 batch",
        "rejected  1 × is not JSON",
        "finished  0 dreams, 0 failed jobs, 1 rejected files",
        "prints    1 waiting, 0 printed in this event",
    ]
    assert lines[5].endswith("  Rejected: notes.heic is not a picture.")


def test_without_a_broker_the_error_is_one_sentence_and_there_is_no_json(settings: Settings) -> None:
    environment = {"ARTDREAM_BROKER_URL": "redis://127.0.0.1:1/0"}
    completed = run_in_process("status", "--json", folder=settings.inbox, environment=environment)
    assert (completed.returncode, completed.stdout) == (1, "")
    assert completed.stderr.count("\n") == 1
