"""A plain Celery worker that reports what `worker.consumer` relies on: `… tests.worker.consumer.celery_probe URL FILE`.

It runs one task in a prefork pool of one process, interrupts a second one with SIGUSR1, and prints JSON.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import MethodType
from typing import Any

from billiard.process import current_process
from celery import Celery, bootsteps
from celery.apps import worker as apps_worker
from celery.exceptions import SoftTimeLimitExceeded
from celery.worker import state
from celery.worker.consumer.tasks import Tasks

FACTS: dict[str, Any] = {}

#: Set once the pool is forked. Before, its process would inherit the locks of a broker connection that is being opened.
POOL_STARTED = threading.Event()


class ProbeStep(bootsteps.StartStopStep):
    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        FACTS["pool_pids"] = [process.pid for process in consumer.pool._pool._pool]
        qos = consumer.task_consumer.channel.qos
        original = qos.can_consume
        FACTS["can_consume_calls"] = 0

        def can_consume(_: Any) -> bool:
            FACTS["can_consume_calls"] += 1
            FACTS["reserved"] = max(FACTS.get("reserved", 0), len(state.reserved_requests))
            return original()

        qos.can_consume = MethodType(can_consume, qos)
        POOL_STARTED.set()


def run(url: str, report_path: Path) -> None:
    """Run the worker until both tasks have reported.

    report_path: takes what tasks report, a line of JSON each: they run in another process.
    """
    app = Celery("probe", broker=url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )

    def report(**facts: Any) -> None:
        with report_path.open("a") as file:
            file.write(json.dumps(facts) + "\n")

    def wait_for_report(name: str) -> Any:
        while name not in FACTS:
            time.sleep(0.05)
            lines = report_path.read_text().splitlines(keepends=True)
            for line in lines:
                if line.endswith("\n"):
                    FACTS.update(json.loads(line))
        return FACTS[name]

    @app.task(name="index")
    def report_index() -> None:
        report(pid=os.getpid(), index=current_process().index)

    @app.task(name="sleep")
    def sleep_until_interrupted() -> None:
        try:
            report(sleeping=os.getpid())
            time.sleep(60)
        except SoftTimeLimitExceeded:
            report(interrupted=True)

    app.steps["consumer"].add(ProbeStep)
    worker = app.Worker(concurrency=1, pool="prefork", quiet=True, without_gossip=True, without_mingle=True)

    def conduct() -> None:
        POOL_STARTED.wait()
        report_index.delay()
        sleep_until_interrupted.delay()
        os.kill(wait_for_report("sleeping"), signal.SIGUSR1)
        wait_for_report("interrupted")
        FACTS["all_total_count"] = state.all_total_count[0]
        FACTS["safe_say"] = callable(apps_worker.safe_say)
        worker.stop()

    report_path.touch()
    threading.Thread(target=conduct, daemon=True).start()
    worker.start()
    sys.stdout.write(json.dumps(FACTS) + "\n")


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
