"""A plain Celery worker that reports what `worker.consumer` relies on: `… tests.worker.consumer.celery_probe URL`.

It runs one task in a prefork pool of one process, interrupts a second one with SIGUSR1, and prints JSON.
"""

import json
import os
import signal
import sys
import threading
import time
from types import MethodType
from typing import Any

from billiard.process import current_process
from celery import Celery, bootsteps
from celery.apps import worker as apps_worker
from celery.exceptions import SoftTimeLimitExceeded
from celery.worker import state
from celery.worker.consumer.tasks import Tasks

FACTS: dict[str, Any] = {}


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


def run(url: str) -> None:
    app = Celery("probe", broker=url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    reports = f"/tmp/celery-probe-{os.getpid()}"

    @app.task(name="index")
    def report_index() -> None:
        with open(reports, "a") as file:
            file.write(json.dumps({"pid": os.getpid(), "index": current_process().index}) + "\n")

    @app.task(name="sleep")
    def sleep_until_interrupted() -> None:
        with open(reports, "a") as file:
            file.write(json.dumps({"sleeping": os.getpid()}) + "\n")
        try:
            time.sleep(60)
        except SoftTimeLimitExceeded:
            with open(reports, "a") as file:
                file.write(json.dumps({"interrupted": True}) + "\n")

    app.steps["consumer"].add(ProbeStep)
    worker = app.Worker(concurrency=1, pool="prefork", quiet=True, without_gossip=True, without_mingle=True)

    def read_reports() -> dict[str, Any]:
        try:
            with open(reports) as file:
                return {key: value for line in file for key, value in json.loads(line).items()}
        except (OSError, ValueError):
            return {}

    def conduct() -> None:
        report_index.delay()
        sleep_until_interrupted.delay()
        while "sleeping" not in read_reports():
            time.sleep(0.05)
        os.kill(read_reports()["sleeping"], signal.SIGUSR1)
        while "interrupted" not in read_reports():
            time.sleep(0.05)
        FACTS.update(read_reports())
        FACTS["all_total_count"] = state.all_total_count[0]
        FACTS["safe_say"] = callable(apps_worker.safe_say)
        os.unlink(reports)
        worker.stop()

    threading.Thread(target=conduct, daemon=True).start()
    worker.start()
    sys.stdout.write(json.dumps(FACTS) + "\n")


if __name__ == "__main__":
    run(sys.argv[1])
