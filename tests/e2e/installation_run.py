"""A run of a secured installation through the faults of an evening, and the recording of its effects."""

import io
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from pydantic import SecretStr

from display.moderation import Moderation
from display.state.dream_index import Dream, DreamIndex
from shared.broker.acl import build_acl_rules
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.jobs.events import Completed, Event, EventReader, Failed, FileRejected, Progress, _Event
from shared.jobs.job import Job, Lane
from shared.jobs.queue import create_celery_app, submit
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.redis_keys import USAGE_COUNTS_KEY, counted_key
from shared.settings import Settings
from shared.storage.sidecar import Visibility
from tests.pictures import make_picture
from tests.recipes import write_recipe
from tests.redis_server import RedisServer
from tests.servers import S3Server
from tests.stack import STACK_TIMEOUT_SECONDS, drop_file, free_port, operator_environment
from tests.waiting import wait_until

EventType = TypeVar("EventType", bound=_Event)

#: Secrets that must not occur in any log line, event, sidecar or command line.
SECRETS = {
    "broker": "hunter-at-dusk-6061",
    "passcode": "fisher-at-dawn-6062",
    "links": "baker-before-noon-6063",
    "store": S3Server.secret_key,
}
SECRET_MARKERS = ("hunter-at-dusk", "fisher-at-dawn", "baker-before-noon", S3Server.secret_key)

COMPONENTS = ("worker", "watch", "display")


@dataclass
class InstallationRun:
    """A secured installation: its servers, its processes, and everything recorded of them."""

    folder: Path
    redis: RedisServer
    s3: S3Server
    ports: dict[str, int]
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    command_output: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    command_lines: set[str] = field(default_factory=set)
    metrics: dict[str, str] = field(default_factory=dict)
    called_commands: set[str] = field(default_factory=set)
    denied_commands: list[str] = field(default_factory=list)
    deleted_job_id: str = ""
    #: Fields of the usage counts, and keys that mark events as counted.
    usage_counts: dict[str, str] = field(default_factory=dict)
    counted_keys: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = Settings(
            data=self.folder / "data",
            inbox=self.folder / "inbox",
            broker_url=self.redis.url(),
            broker_ca=self.redis.authority.certificate_path,
            store_url=self.s3.url,
            passcode=SECRETS["passcode"],
            links_secret=SECRETS["links"],
            port=self.ports["wall"],
            recipe=str(write_recipe(self.folder)),
            clips=False,
            _env_file=None,
        )
        self._client = connect(self.settings.broker)
        self._reader = EventReader(self._client)

    def start_component(self, part: str) -> None:
        with (self.folder / f"{part}.log").open("ab") as log:
            command = [sys.executable, "-m", "artdream", part]
            self.processes[part] = subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdout=log, stderr=log
            )

    def run_command(self, *arguments: str, **environment_overrides: str) -> str:
        """Run a command of `artdream`; record and return its stdout and stderr."""
        completed = subprocess.run(
            [sys.executable, "-m", "artdream", *arguments],
            env=self.environment | environment_overrides,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=STACK_TIMEOUT_SECONDS,
        )
        self.command_output[f"{arguments[0]} {len(self.command_output)}"] = completed.stdout + completed.stderr
        return completed.stdout + completed.stderr

    def read_log(self, part: str) -> str:
        return (self.folder / f"{part}.log").read_text()

    def drop_photo(self, seed: int) -> None:
        data = io.BytesIO()
        make_picture(seed, (320, 240)).save(data, "JPEG")
        drop_file(self.folder / "inbox", f"{seed}.jpg", data.getvalue())

    def events_of(self, kind: type[EventType]) -> list[EventType]:
        return [event for event in self.events if isinstance(event, kind)]

    def scrape_metrics(self, part: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[part]}/metrics", timeout=10) as response:
            return str(response.read().decode())

    def metric_value(self, part: str, name: str, /, **labels: str) -> float:
        """Return the value of a sample scraped at the end of the run.

        Raises AssertionError if there is none with these labels.
        """
        for line in self.metrics[part].splitlines():
            sample = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if sample and sample[1] == name and dict(re.findall(r'(\w+)="([^"]*)"', sample[2] or "")) == labels:
                return float(sample[3])
        raise AssertionError(f"no {name} {labels} in\n{self.metrics[part]}")

    def wait_until(
        self, condition: Callable[[], object], description: str, *, record_command_lines: bool = True
    ) -> None:
        """Wait until a condition holds, recording events and command lines meanwhile.

        record_command_lines: takes up to a second on a busy machine; without it, an event is seen at once.
        """

        def is_met() -> object:
            with suppress(*BROKER_UNAVAILABLE):
                self.events += [recorded.event for recorded in self._reader.read(wait_seconds=0.25)]
            if record_command_lines:
                self._record_command_lines()
            return condition()

        wait_until(is_met, description, explain=lambda: "\n".join(self.read_log(part)[-2500:] for part in COMPONENTS))

    def record_commands(self) -> None:
        """Record the broker commands called since the server's start, and the denied ones."""
        with self.redis.connect_admin() as admin:
            for entry in admin.acl_log():
                self.denied_commands.append(f"{entry['reason']} {entry['object']} by {entry['username']}")
            stats = admin.info("commandstats")
        self.called_commands |= {name.removeprefix("cmdstat_") for name in stats}

    def _record_command_lines(self) -> None:
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            with suppress(psutil.Error):
                if "rclone" not in process.name():  # rclone takes its key as an argument only
                    self.command_lines.add(" ".join(process.cmdline()))

    def stop_all(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()
        self._client.close()


def log_in(installation: InstallationRun, passcode: str) -> int:
    """Log in to the console with a passcode; return the HTTP status."""
    form = urllib.parse.urlencode({"passcode": passcode}).encode()
    url = f"http://127.0.0.1:{installation.ports['wall']}/console/enter"
    try:
        return int(urllib.request.urlopen(urllib.request.Request(url, form), timeout=10).status)
    except urllib.error.HTTPError as error:
        return error.code


def abandon_delivery(installation: InstallationRun, job_id: str) -> None:
    """Create the unacknowledged delivery of a dead worker; wait until kombu restores it and the worker drops it."""
    # Sent to a database that no worker reads.
    other_database = SecretStr(installation.redis.admin_url(1))
    with create_celery_app(installation.settings.model_copy(update={"broker_url": other_database})) as app:
        app.send_task("artdream.dream", args=[job_id], queue=Lane.LIVE.value)
    with installation.redis.connect_admin(1) as admin:
        message = json.loads(admin.rpop("live"))
    with installation.redis.connect_admin() as admin:
        admin.hset("unacked", "lost", json.dumps([message, "", Lane.LIVE.value]))
        admin.zadd("unacked_index", {"lost": 1})
    installation.wait_until(
        lambda: f"job {job_id} has ended already" in installation.read_log("worker"), "a lost delivery is found"
    )


def run_scenario(installation: InstallationRun) -> None:
    redis, s3 = installation.redis, installation.s3
    for part in COMPONENTS:
        installation.start_component(part)
    installation.wait_until(lambda: "is warm after" in installation.read_log("worker"), "the worker is warm")
    installation.drop_photo(1)
    (installation.folder / "inbox" / "diary.heic").write_text("Dear diary")
    installation.wait_until(
        lambda: installation.events_of(Completed) and installation.events_of(FileRejected),
        "a photo is dreamt, a file refused",
    )

    # A pool process dies while it processes a job.
    progress_count = len(installation.events_of(Progress))
    installation.drop_photo(2)
    [child] = psutil.Process(installation.processes["worker"].pid).children()
    installation.wait_until(
        lambda: len(installation.events_of(Progress)) > progress_count,
        "the second job is started",
        record_command_lines=False,
    )
    child.kill()
    installation.wait_until(lambda: len(installation.events_of(Completed)) == 2, "the job is processed again")

    # Messages and events that are invalid; a job without a photo, whose producer died before it was queued.
    with (
        redis.connect_admin() as admin,
        connect(installation.settings.broker) as client,
        create_celery_app(installation.settings) as app,
    ):
        lost_job = Job(photo_id="0" * 64, recipe=load_recipe(installation.environment["ARTDREAM_RECIPE"]))
        JobTable(client).accept(lost_job)
        app.send_task("artdream.unheard_of", queue=Lane.LIVE.value)
        malformed_message = {
            "body": "%%%",
            "content-encoding": "utf-8",
            "content-type": "application/x-unheard",
            "headers": {},
        }
        properties = {
            "delivery_tag": "t",
            "delivery_info": {"exchange": "", "routing_key": "live"},
            "body_encoding": "base64",
        }
        admin.lpush("live", json.dumps(malformed_message | {"properties": properties}))
        admin.xadd("artdream:events", {"event": '{"version":2,"type":"unheard of"}'})
    installation.wait_until(lambda: installation.events_of(Failed), "the job without a photo is found, and fails")

    # A batch, which the worker processes in batch runs.
    with connect(installation.settings.broker) as client, create_celery_app(installation.settings) as app:
        for seed in (1, 2, 3):
            photo_id = installation.events_of(Completed)[0].photo_id
            submit(app, JobTable(client), Job(photo_id=photo_id, recipe=lost_job.recipe, seed=seed, lane=Lane.BATCH))
    installation.wait_until(lambda: len(installation.events_of(Completed)) == 5, "a batch is dreamt")

    # A wrong passcode, and the operator's.
    assert log_in(installation, "hunter-at-noon") == 403
    assert log_in(installation, SECRETS["passcode"]) == 200
    completed = installation.events_of(Completed)[0]
    assert isinstance(completed, Completed)
    dream_index = DreamIndex()
    dream_index.put(Dream.from_completed(completed, time.time(), Visibility.SHOWN))
    moderation = Moderation(installation.settings, dream_index)
    with connect(installation.settings.broker) as client:
        JobTable(client).restore_holds(["f" * 32])
    moderation.change_settings(approval=False)
    moderation.clean_up()
    abandon_delivery(installation, completed.job_id)
    for command in (["status"], ["jobs"], ["doctor"], ["jobs", "link", completed.job_id]):
        installation.run_command(*command)
    moderation.delete(completed.job_id)
    installation.deleted_job_id = completed.job_id

    # Broker and store become unavailable and return.
    installation.record_commands()
    s3.stop()
    redis.stop()
    for command in (["status"], ["doctor"]):
        installation.run_command(*command)
    installation.wait_until(
        lambda: all("onnect" in installation.read_log(part) for part in ("worker",)), "the worker misses the broker"
    )
    redis.start()
    s3.start()
    installation.drop_photo(3)
    installation.wait_until(lambda: len(installation.events_of(Completed)) == 6, "all components resume")
    installation.run_command("status", ARTDREAM_BROKER_URL=redis.url(password="hunter-at-dusk-wrong"))
    installation.run_command("worker", ARTDREAM_BROKER_URL=redis.url(host="127.0.0.1"))
    installation.run_command("status", ARTDREAM_PASSCODE="fisher")
    installation.wait_until(lambda: "job_id" in installation.events[-1].model_dump(), "the last event is read")
    for part in COMPONENTS:
        installation.metrics[part] = installation.scrape_metrics(part)
    installation.record_commands()
    with redis.connect_admin() as admin:
        installation.usage_counts = admin.hgetall(USAGE_COUNTS_KEY)
        installation.counted_keys = list(admin.scan_iter(counted_key("*")))


@contextmanager
def recorded_run(folder: Path) -> Iterator[InstallationRun]:
    """Run the scenario in a folder, stop all components and yield the record."""
    (folder / "inbox").mkdir()
    secrets_folder = folder / "secrets"
    secrets_folder.mkdir()
    redis, s3 = RedisServer(folder / "redis", SECRETS["broker"]), S3Server(folder / "s3")
    redis.start()
    redis.set_permissions(build_acl_rules())
    s3.start()
    for name, secret in {
        "artdream_broker_url": redis.url(),
        "artdream_passcode": SECRETS["passcode"],
        "artdream_links_secret": SECRETS["links"],
        "aws_secret_access_key": s3.secret_key,
    }.items():
        (secrets_folder / name).write_text(secret)
    ports = {name: free_port() for name in (*COMPONENTS, "wall")}
    settings = {
        "ARTDREAM_SECRETS_DIR": str(secrets_folder),
        "ARTDREAM_BROKER_CA": str(redis.authority.certificate_path),
        "ARTDREAM_DATA": str(folder / "data"),
        "ARTDREAM_INBOX": str(folder / "inbox"),
        "ARTDREAM_STORE_URL": s3.url,
        "ARTDREAM_RECIPE": str(write_recipe(folder, steps=150)),  # long enough to be killed while it runs
        "ARTDREAM_TOGETHER": "2",
        "ARTDREAM_PORT": str(ports["wall"]),
        "ARTDREAM_PUBLIC_URL": "https://dream.example.org",
        "ARTDREAM_LOG": "json",
        "ARTDREAM_WORKER_METRICS_PORT": str(ports["worker"]),
        "ARTDREAM_PRODUCER_METRICS_PORT": str(ports["watch"]),
        "ARTDREAM_DISPLAY_METRICS_PORT": str(ports["display"]),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        environment = operator_environment() | settings
        del environment["AWS_SECRET_ACCESS_KEY"]  # it comes from a file
        installation = InstallationRun(folder, redis, s3, ports, environment)
        try:
            run_scenario(installation)
            installation.stop_all()
            yield installation
        finally:
            for process in installation.processes.values():
                process.kill()
            redis.stop()
            s3.stop()
