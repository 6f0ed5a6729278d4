"""`artdream jobs`: list, show, cancel and retry jobs, and print the share links of their dreams."""

import re
import time
from typing import Annotated, Self

import typer
from pydantic import BaseModel, ConfigDict, Field

from artdream.cli.command import LIST_GROUP_HELP, ListGroup, command
from artdream.cli.options import (
    REPEAT_HINT,
    DataOption,
    JsonOption,
    console,
    load_settings,
    load_settings_with_broker,
    print_json,
)
from artdream.cli.tables import print_with_notes
from shared.broker.client import connect
from shared.errors import ArtDreamError
from shared.jobs.events import Stages
from shared.jobs.job import Lane, State
from shared.jobs.table import JobRecord, JobTable
from shared.runtime_settings import initialize_runtime_settings
from shared.settings import ENV_PREFIX
from shared.storage.photos import require_photo
from shared.storage.store import Store

jobs = typer.Typer(
    cls=ListGroup, help=f"List, show, cancel and retry jobs, and renew links to dreams.{LIST_GROUP_HELP}"
)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The id of a job, or its first characters.")]
JobsArgument = Annotated[list[str], typer.Argument(metavar="JOB", help="Ids of jobs, or their first characters.")]


class JobSummary(BaseModel):
    """A job and its state."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="The job's id.")
    state: State = Field(description="Its state.")
    state_since: float = Field(description="Since when it has been in that state, in seconds since 1970 (UTC).")
    reason: str = Field(description="Why it failed; empty if it did not.")
    lane: Lane = Field(description="Its lane.")
    recipe: str = Field(description="Name of its recipe.")
    recipe_version: int = Field(description="Version of that recipe.")
    network: str = Field(description="The recipe's network.")
    canvas: int = Field(description="Long side in pixels at which the photo is processed.")
    seed: int = Field(description="The random seed.")
    photo_id: str = Field(description="SHA-256 of the photo.")
    stages: Stages = Field(description="Seconds that each stage of the producer took.")

    @classmethod
    def from_record(cls, record: JobRecord) -> Self:
        """Return the summary of a job in the job table."""
        job, recipe = record.job, record.job.recipe
        return cls(
            id=job.id,
            state=record.state,
            state_since=record.state_since,
            reason=record.reason,
            lane=job.lane,
            recipe=recipe.name,
            recipe_version=recipe.version,
            network=recipe.network,
            canvas=recipe.canvas,
            seed=job.seed,
            photo_id=job.photo_id,
            stages=job.stages,
        )


@command(jobs, "list", examples=["artdream jobs list --state failed", "artdream jobs list --limit 1000 --json"])
def list_jobs(
    states: Annotated[
        list[State] | None,
        typer.Option("--state", metavar="STATE", help=f"Only jobs in this state: {', '.join(State)}.{REPEAT_HINT}"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="List at most this many jobs.")] = 30,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List jobs, newest first."""
    with load_settings_with_broker(data=data) as settings:
        records = [
            record
            for record in JobTable(connect(settings.broker)).iter_records()
            if not states or record.state in states
        ]
    newest = sorted(records, key=lambda record: record.state_since, reverse=True)[:limit]
    summaries = [JobSummary.from_record(record) for record in newest]
    if as_json:
        print_json(summaries)
        return
    rows = [
        (
            (
                *(job.id[:12], job.state, _format_time(job.state_since, "%a %H:%M"), job.lane),
                *(str(job.seed), job.photo_id[:8], job.recipe),
            ),
            job.reason,
        )
        for job in summaries
    ]
    print_with_notes(("Job", "State", "Since", "Lane", "Seed", "Photo", "Recipe"), rows, console, gap=1)
    if len(records) > limit:
        console.print(f"… and {len(records) - limit} older jobs: show more with --limit.")


@command(jobs, "show", examples=["artdream jobs show 4be2", "artdream jobs show 4be2 --json"])
def show_job(job: JobArgument, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Show a job: its state, photo, recipe and timings."""
    with load_settings_with_broker(data=data) as settings:
        summary = JobSummary.from_record(_find_record(JobTable(connect(settings.broker)), job))
    if as_json:
        print_json(summary)
        return
    fields = {
        "job": summary.id,
        "state": f"{summary.state} since {_format_time(summary.state_since)}",
        "reason": summary.reason,
        "photo": summary.photo_id,
        "recipe": f"{summary.recipe}, version {summary.recipe_version}, {summary.canvas} px, {summary.network}",
        "seed": str(summary.seed),
        "lane": summary.lane,
        "stages": ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in summary.stages.items()),
    }
    for name, value in fields.items():
        if value:
            console.print(f"{name:8} {value}", soft_wrap=True, markup=False)


@command(jobs, "cancel", examples=["artdream jobs cancel 4be2 9c01"])
def cancel_jobs(jobs: JobsArgument, data: DataOption = None) -> None:
    """Cancel queued or running jobs."""
    with load_settings_with_broker(data=data) as settings:
        table = JobTable(connect(settings.broker))
        for prefix in jobs:
            record = _find_record(table, prefix)
            if not table.cancel(record.job.id):
                raise ArtDreamError(f"Job {record.job.id[:12]} has ended already: it is {record.state}.")
            console.print(f"Job {record.job.id[:12]} is cancelled.")


@command(jobs, "retry", examples=["artdream jobs retry 4be2"])
def retry_jobs(jobs: JobsArgument, data: DataOption = None) -> None:
    """Queue failed or cancelled jobs again."""
    with load_settings_with_broker(data=data) as settings:
        from shared.jobs.queue import create_celery_app, submit  # imports Celery, which takes as long as the rest

        client, store, app = connect(settings.broker), Store(settings.store), create_celery_app(settings)
        table = JobTable(
            client,
            approval=settings.approval,
            initialize=lambda: initialize_runtime_settings(client, store, approval=settings.approval),
        )
        for prefix in jobs:
            record = _find_record(table, prefix)
            if record.state in (State.FAILED, State.CANCELLED):
                require_photo(store, record.job.photo_id, f"job {record.job.id[:12]}")
            if not submit(app, table, record.job):
                raise ArtDreamError(f"Job {record.job.id[:12]} did not fail: it is {record.state}.")
            console.print(f"Job {record.job.id[:12]} is queued again.")


@command(jobs, "link", examples=["artdream jobs link 4be2"])
def link_job(
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="The id of a job, its first characters, or an expired link.")
    ],
    data: DataOption = None,
) -> None:
    """Print a new link to a job's dream, for the guest's phone."""
    from display.pages.share_links import ShareLinks

    settings = load_settings(data=data)
    links = ShareLinks(settings)
    if old_link := links.parse_token(job.rpartition("/")[2]):
        job_id = old_link.job_id
    elif re.fullmatch("[0-9a-f]{32}", job):  # The broker's record may have expired; the store is permanent.
        job_id = job
    else:
        with load_settings_with_broker(data=data) as settings_with_broker:
            job_id = _find_record(JobTable(connect(settings_with_broker.broker)), job).job.id
    url = links.make_url(job_id)
    if url is None:
        raise ArtDreamError(
            f"Phones cannot reach {settings.host}: set {ENV_PREFIX}HOST=0.0.0.0, or {ENV_PREFIX}PUBLIC_URL to the "
            "display's address for them."
        )
    console.print(url, soft_wrap=True, markup=False)


def _find_record(table: JobTable, prefix: str) -> JobRecord:
    """Return the only job whose id starts with `prefix`. Raises ArtDreamError if there is none, or more than one."""
    found = list(table.iter_records(prefix.lower())) if re.fullmatch("[0-9a-fA-F]+", prefix) else []
    if len(found) != 1:
        problem = f"{len(found)} job ids begin" if found else "No job id begins"
        raise ArtDreamError(f"{problem} with “{prefix}”: `artdream jobs` lists them.")
    return found[0]


def _format_time(timestamp: float, time_format: str = "%a %H:%M:%S") -> str:
    return time.strftime(time_format, time.localtime(timestamp))
