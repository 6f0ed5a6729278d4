"""`artdream jobs`: list, show, cancel and retry jobs, and print the share links of their dreams."""

import re
import time
from typing import Annotated

import typer
from rich.table import Table

from artdream.cli.options import DataOption, console, create_command_group, load_settings, load_settings_with_broker
from shared.broker.client import connect
from shared.errors import ArtDreamError
from shared.jobs.job import State
from shared.jobs.queue import create_celery_app, submit
from shared.jobs.table import JobRecord, JobTable
from shared.runtime_settings import initialize_runtime_settings
from shared.settings import ENV_PREFIX
from shared.storage.store import Store

jobs = create_command_group("The jobs: list, show, cancel, retry, link.")

JobArgument = Annotated[str, typer.Argument(help="A job's id, or how it begins.", metavar="JOB")]
JobsArgument = Annotated[list[str], typer.Argument(help="Ids of jobs, or how they begin.", metavar="JOB")]


@jobs.callback()
def jobs_or_list(context: typer.Context) -> None:
    """The jobs: list, show, cancel, retry, link."""
    if context.invoked_subcommand is None:
        list_jobs()


@jobs.command("list")
def list_jobs(
    state: Annotated[list[State] | None, typer.Option("--state", help="Only these; may be given again.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 30,
    data: DataOption = None,
) -> None:
    """List the jobs, newest first."""
    with load_settings_with_broker(data=data) as settings:
        records = [
            record for record in JobTable(connect(settings.broker)).iter_records() if not state or record.state in state
        ]
    table = Table("Job", "State", "Since", "Lane", "Recipe", "Seed", "Photo", "Reason", box=None, header_style="dim")
    for record in sorted(records, key=lambda record: record.state_since, reverse=True)[:limit]:
        job = record.job
        row = (
            job.id[:12],
            record.state,
            _format_time(record.state_since),
            job.lane,
            job.recipe.name,
            str(job.seed),
            job.photo_id[:8],
        )
        table.add_row(*row, record.reason)
    console.print(table)
    if len(records) > limit:
        console.print(f"… and {len(records) - limit} older ones: --limit shows more.")


@jobs.command("show")
def show_job(job: JobArgument, data: DataOption = None) -> None:
    """Show what is known of a job."""
    with load_settings_with_broker(data=data) as settings:
        record = _find_record(JobTable(connect(settings.broker)), job)
    shown_job, recipe = record.job, record.job.recipe
    fields = {
        "job": shown_job.id,
        "state": f"{record.state} since {_format_time(record.state_since)}",
        "reason": record.reason,
        "photo": shown_job.photo_id,
        "recipe": f"{recipe.name}, version {recipe.version}, {recipe.canvas} px, {recipe.network}",
        "seed": str(shown_job.seed),
        "lane": shown_job.lane,
        "stages": ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in shown_job.stages.items()),
    }
    for name, value in fields.items():
        if value:
            console.print(f"{name:8} {value}", soft_wrap=True, markup=False)


@jobs.command("cancel")
def cancel_jobs(jobs: JobsArgument, data: DataOption = None) -> None:
    """Call jobs off, whether they wait or are being dreamt. No other job notices."""
    with load_settings_with_broker(data=data) as settings:
        table = JobTable(connect(settings.broker))
        for prefix in jobs:
            record = _find_record(table, prefix)
            if not table.cancel(record.job.id):
                raise ArtDreamError(f"Job {record.job.id[:12]} has ended already: it is {record.state}.")
            console.print(f"Job {record.job.id[:12]} is cancelled.")


@jobs.command("retry")
def retry_jobs(jobs: JobsArgument, data: DataOption = None) -> None:
    """Take up jobs again that failed or were cancelled."""
    with load_settings_with_broker(data=data) as settings:
        client, store, app = connect(settings.broker), Store(settings.store), create_celery_app(settings)
        table = JobTable(
            client, approval=settings.approval, initialize=lambda: initialize_runtime_settings(client, store)
        )
        for prefix in jobs:
            record = _find_record(table, prefix)
            if not submit(app, table, record.job):
                raise ArtDreamError(f"Job {record.job.id[:12]} did not fail: it is {record.state}.")
            console.print(f"Job {record.job.id[:12]} is in its lane again.")


@jobs.command("link")
def link_job(
    job: Annotated[str, typer.Argument(help="A job's id, how it begins, or an old link.", metavar="JOB")],
    data: DataOption = None,
) -> None:
    """Print a link that takes a dream home; the way to renew one that has expired."""
    from display.pages.share_links import ShareLinks

    settings = load_settings(data=data)
    links = ShareLinks(settings)
    if old_link := links.parse_token(job.rpartition("/")[2]):
        job_id = old_link.job_id
    elif re.fullmatch("[0-9a-f]{32}", job):  # The broker's record may have expired; the store is permanent.
        job_id = job
    else:
        job_id = _find_record(JobTable(connect(settings.broker)), job).job.id
    url = links.make_url(job_id)
    if url is None:
        raise ArtDreamError(
            f"Phones cannot reach {settings.host}: set {ENV_PREFIX}HOST=0.0.0.0, or {ENV_PREFIX}PUBLIC_URL to where "
            "they can."
        )
    console.print(url, soft_wrap=True, markup=False)


def _find_record(table: JobTable, prefix: str) -> JobRecord:
    """Return the only job whose id starts with `prefix`. Raises ArtDreamError if there is none, or more than one."""
    found = list(table.iter_records(prefix.lower())) if re.fullmatch("[0-9a-fA-F]+", prefix) else []
    if len(found) != 1:
        problem = f"{len(found)} jobs begin" if found else "No job begins"
        raise ArtDreamError(f"{problem} with “{prefix}”: `artdream jobs` lists them.")
    return found[0]


def _format_time(timestamp: float) -> str:
    return time.strftime("%a %H:%M:%S", time.localtime(timestamp))
