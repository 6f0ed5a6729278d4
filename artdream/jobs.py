"""Jobs on the terminal: listed, shown, cancelled, taken up again."""

import re
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from shared.broker import connect
from shared.errors import ArtDreamError
from shared.jobs import State
from shared.jobtable import Entry, JobTable
from shared.queue import celery_app, submit
from shared.settings import PREFIX, Settings
from shared.steering import settle
from shared.store import Store


def show_list(settings: Settings, console: Console, *, states: Sequence[State], limit: int) -> None:
    """Print the newest jobs, of some states where any are named."""
    entries = [one for one in JobTable(connect(settings.broker)).entries() if not states or one.state in states]
    table = Table("Job", "State", "Since", "Lane", "Recipe", "Seed", "Photo", "Reason", box=None, header_style="dim")
    for entry in sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]:
        job = entry.job
        row = (job.id[:12], entry.state, _clock(entry.at), job.lane, job.recipe.name, str(job.seed), job.photo_id[:8])
        table.add_row(*row, entry.reason)
    console.print(table)
    if len(entries) > limit:
        console.print(f"… and {len(entries) - limit} older ones: --limit shows more.")


def show_job(settings: Settings, console: Console, prefix: str) -> None:
    """Print what is known of one job."""
    entry = _find(JobTable(connect(settings.broker)), prefix)
    job = entry.job
    facts = {
        "job": job.id,
        "state": f"{entry.state} since {_clock(entry.at)}",
        "reason": entry.reason,
        "photo": job.photo_id,
        "recipe": f"{job.recipe.name}, version {job.recipe.version}, {job.recipe.canvas} px, {job.recipe.network}",
        "seed": str(job.seed),
        "lane": job.lane,
        "stages": ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in job.stages.items()),
    }
    for name, fact in facts.items():
        if fact:
            console.print(f"{name:8} {fact}", soft_wrap=True, markup=False)


def cancel(settings: Settings, console: Console, prefixes: Sequence[str]) -> None:
    """Call jobs off. Raises ArtDreamError for the first that is unknown or has ended."""
    table = JobTable(connect(settings.broker))
    for prefix in prefixes:
        entry = _find(table, prefix)
        if not table.cancel(entry.job.id):
            raise ArtDreamError(f"Job {entry.job.id[:12]} has ended already: it is {entry.state}.")
        console.print(f"Job {entry.job.id[:12]} is cancelled.")


def retry(settings: Settings, console: Console, prefixes: Sequence[str]) -> None:
    """Take up jobs again that failed or were cancelled. Raises ArtDreamError for the first that did neither."""
    client, store, app = connect(settings.broker), Store(settings.store), celery_app(settings)
    table = JobTable(client, approval=settings.approval, settle=lambda: settle(client, store))
    for prefix in prefixes:
        entry = _find(table, prefix)
        if not submit(app, table, entry.job):
            raise ArtDreamError(f"Job {entry.job.id[:12]} did not fail: it is {entry.state}.")
        console.print(f"Job {entry.job.id[:12]} is in its lane again.")


def link(settings: Settings, console: Console, job: str) -> None:
    """Print a new link to a dream. job: how its id begins, its whole id, or an old link to it, expired or not.

    Raises ArtDreamError where no job is meant, or phones cannot reach the display.
    """
    from display.links import Links

    links = Links(settings)
    if old := links.read(job.rpartition("/")[2]):
        job_id = old.job_id
    elif re.fullmatch("[0-9a-f]{32}", job):  # the broker may have forgotten it; the store has not
        job_id = job
    else:
        job_id = _find(JobTable(connect(settings.broker)), job).job.id
    url = links.url(job_id)
    if url is None:
        raise ArtDreamError(
            f"Phones cannot reach {settings.host}: set {PREFIX}HOST=0.0.0.0, or {PREFIX}PUBLIC_URL to where they can."
        )
    console.print(url, soft_wrap=True, markup=False)


def _find(table: JobTable, prefix: str) -> Entry:
    """Return the one job whose id begins so. Raises ArtDreamError where there is none, or more than one."""
    found = [entry for entry in table.entries() if entry.job.id.startswith(prefix.lower())] if prefix else []
    if len(found) != 1:
        problem = f"{len(found)} jobs begin" if found else "No job begins"
        raise ArtDreamError(f"{problem} with “{prefix}”: `artdream jobs` lists them.")
    return found[0]


def _clock(at: float) -> str:
    return time.strftime("%a %H:%M:%S", time.localtime(at))
