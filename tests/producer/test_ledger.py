"""Several processes share one ledger, from its first moment on."""

import gc
import multiprocessing
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from producer.ledger import Ledger
from shared.jobs.job import Job, Lane
from shared.recipe.recipe import load_recipe

PROCESS_COUNT = 4

_barrier: Barrier


def _share_barrier(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _open_ledger(folder: Path) -> None:
    _barrier.wait()
    Ledger(folder).close()


def test_processes_that_create_it_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """Of twenty new ledgers a third could not be opened by all: SQLite lets nobody wait for the journal mode."""
    context = multiprocessing.get_context("forkserver")
    barrier = context.Barrier(PROCESS_COUNT)
    with ProcessPoolExecutor(PROCESS_COUNT, context, initializer=_share_barrier, initargs=(barrier,)) as executor:
        for number in range(20):
            list(executor.map(_open_ledger, [tmp_path / str(number)] * PROCESS_COUNT))


def test_one_that_nobody_holds_any_more_closes_itself(tmp_path: Path) -> None:
    """Seen failing: Python 3.13 warned of an unclosed database at some later time."""
    ledger = Ledger(tmp_path)
    connection = ledger._connection
    del ledger
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_guests_come_first_among_the_jobs_to_submit_again(tmp_path: Path) -> None:
    """Seen failing: the order was that of the ids."""
    jobs = [
        Job(photo_id=f"{number:064x}", recipe=load_recipe("animals"), lane=Lane.BATCH if number % 2 else Lane.LIVE)
        for number in range(20)
    ]
    ledger = Ledger(tmp_path)
    for job in jobs:
        ledger.record_unfinished_job(job)
    lanes = [job.lane for job_id in ledger.list_unfinished_job_ids() for job in jobs if job.id == job_id]
    assert lanes == [Lane.LIVE] * 10 + [Lane.BATCH] * 10
    ledger.close()
