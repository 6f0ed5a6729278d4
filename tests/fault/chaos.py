"""Chaos: a whole installation at work, hurt at random, and counted in the end.

    python -m tests.fault.chaos [--jobs 300] [--faults 60] [--minutes 30] [--seed 0]

Guests' photos go through a real inbox, producer, broker, bucket, workers and display, in turns with those of a batch,
which is dreamt in company and steps aside for guests. Between them something is killed, stopped, cut off, wiped or
bent, healed, and the next thing is.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from producer.decoding.convert import convert
from producer.outbox.submission import SubmissionClient, Unavailable
from producer.recipe_choice import RecipeChoice
from shared.jobs.events import Completed, Failed
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import DREAM_TASK, queue_keys
from shared.storage.object_names import dream_name, sidecar_name
from tests.fault import faulty_proxy as wire
from tests.fault.chaos_report import Hurt, Report, told
from tests.fault.faulty_proxy import Wire
from tests.fault.installation import Site, Worker
from tests.pictures import colours, jpeg
from tests.servers import S3Server
from tests.stack import free_port

#: Photos that are on their way at once, so that whatever is hurt is at work.
UNDERWAY = 6

#: Seconds in which the installation must be as it was after a fault.
HEALED = 150


class Chaos:
    """One installation and its tormentor."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.report = Report()
        self.server = S3Server(folder / "s3")
        self.server.start()
        self.store_wire = Wire(self.server.port)
        self._before = dict(os.environ)
        os.environ.update(self.server.environment)
        (folder / "inbox").mkdir()
        # A photo's content chooses one: every second dream is long enough to be met in the middle.
        recipes = f"{folder}/site/short.toml, {folder}/site/long.toml"
        self.site = Site(
            folder / "site",
            store_url=self.server.url,
            inbox=folder / "inbox",
            recipe=recipes,
            grace_seconds=1.0,
            together=2,
            clips=True,
        )
        self.batch = SubmissionClient(self.site.settings.model_copy(update={"data": folder / "batch"}))
        self.menu = RecipeChoice(self.site.settings, self.site.client)
        self.worker_wire, self.producer_wire = Wire(self.site.port), Wire(self.site.port)
        self.producer = self._start("watch")
        self.display = self._start("display", "--port", str(free_port()))
        self._life = 0  # of the broker's memory
        self._ends: Counter[tuple[int, str]] = Counter()
        self._dropped: dict[str, Job] = {}
        for _ in range(2):
            self._start_worker()
        self.faults: dict[str, Callable[[], None]] = {
            "kill a dreaming process": self._kill_child,
            "kill a worker with all its processes": self._kill_tree,
            "kill a worker's parent alone": self._kill_parent,
            "freeze a worker for 13 s": self._freeze,
            "stop a worker by SIGTERM": self._stop_worker,
            "kill the producer": self._kill_producer,
            "kill the display": self._kill_display,
            "kill the broker": self._kill_broker,
            "stop the broker": self._stop_broker,
            "pause the broker": self._pause_broker,
            "wipe the broker": self._wipe_broker,
            "cut the workers' link": lambda: self._bend(self.worker_wire, wire.State.CUT),
            "silence the workers' link": lambda: self._bend(self.worker_wire, wire.State.SILENT),
            "leave the workers' connections half open": lambda: self._bend(self.worker_wire, wire.State.HALF_OPEN),
            "cut the producer's link": lambda: self._bend(self.producer_wire, wire.State.CUT),
            "silence the producer's link": lambda: self._bend(self.producer_wire, wire.State.SILENT),
            "kill the store": self._kill_store,
            "cut the link to the store": lambda: self._bend(self.store_wire, wire.State.CUT),
            "bend what the store sends": lambda: self._bend(self.store_wire, wire.State.BENT),
            "deliver a job twice": self._double,
            "lose a message": self._lose,
        }

    def run(self, jobs: int, faults: int, minutes: float) -> Report:
        """Drop so many photos, or for so long, and hurt so often; heal, wait for the rest, count."""
        begun, names = time.monotonic(), []
        while len(self._dropped) < jobs or len(self.report.hurts) < faults or time.monotonic() - begun < 60 * minutes:
            self._feed()
            if len(self.report.hurts) >= faults and not minutes:
                self._look()
                continue
            if not names:
                names = self.chance.sample(list(self.faults), len(self.faults))
            self._hurt(names.pop())
        self.site.until(lambda: not self._feed(0) and not self._open(), patience=300)
        time.sleep(2)  # whatever is told twice is told by now
        self._look()
        self._count()
        return self.report

    def close(self) -> None:
        """Kill everything."""
        for process in (self.producer, self.display):
            process.kill()
            process.wait()
        self.batch.close()
        self.site.close()
        for one in (self.worker_wire, self.producer_wire, self.store_wire):
            one.close()
        self.server.stop()
        os.environ.clear()
        os.environ.update(self._before)

    def _hurt(self, name: str) -> None:
        self.site.until(lambda: len(self._open()) > 0 or self._feed() > 0)
        self.faults[name]()
        before, begun = sum(self._ends.values()), time.monotonic()
        self._heal()
        self.site.until(lambda: self._feed() > 0 and sum(self._ends.values()) > before, patience=HEALED)
        hurt = Hurt(name, time.monotonic() - begun)
        self.report.hurts.append(hurt)
        print(f"{len(self.report.hurts):3} {name}: {hurt.seconds:.1f} s", flush=True)  # noqa: T201

    def _heal(self) -> None:
        """Do what an operator's supervisor does: start what has ended."""
        if self.producer.poll() is not None:
            self.producer = self._start("watch")
        if self.display.poll() is not None:
            self.display = self._start("display", "--port", str(free_port()))
        self._insist(self.batch.resubmit_lost_jobs)  # as the same `artdream send` once more
        for worker in [one for one in self.site.workers if one.process.poll() is not None]:
            self.site.workers.remove(worker)
            self._start_worker()

    def _feed(self, wanted: int = UNDERWAY) -> int:
        """Let photos of guests and of a batch come, in turns, until enough are on their way; return how many are."""
        self._look()
        while (count := len(self._open())) < wanted:
            number = len(self._dropped)
            data = jpeg(colours(number))
            photo = convert(data)
            lane = Lane.BATCH if number % 2 else Lane.LIVE
            job = Job(photo_id=photo.photo_id, recipe=self.menu.choose_recipe(photo.photo_id), lane=lane)
            self._dropped[job.id] = job
            if lane is Lane.LIVE:
                (self.site.settings.inbox / f"{number}.jpg").write_bytes(data)
            else:
                self._insist(lambda job=job, photo=photo: self.batch.submit(job, photo.jpeg))
        return count

    def _insist(self, action: Callable[[], object]) -> None:
        """Do what `artdream send` does while store or broker is away."""
        while True:
            try:
                action()
            except Unavailable:
                time.sleep(0.2)
            else:
                return

    def _open(self) -> list[str]:
        ended = {job_id for _, job_id in self._ends}
        return [job_id for job_id in self._dropped if job_id not in ended]

    def _look(self) -> None:
        self.site.until(lambda: True)
        for event in self.site.events:
            if isinstance(event, (Completed, Failed)):
                self._ends[self._life, event.job_id] += 1
        self.site.events.clear()

    def _count(self) -> None:
        report, table, store = self.report, self.site.table, self.site.store
        report.jobs = len(self._dropped)
        for job_id in self._dropped:
            state = table.get_state(job_id)
            whole = store.get(dream_name(job_id)) is not None and store.get(sidecar_name(job_id)) is not None
            if state is State.FAILED and not whole:
                report.failed += 1
            elif whole and any(id_ == job_id for _, id_ in self._ends):
                report.dreamt += 1
            else:
                report.lost.append(job_id)
        report.twice = [job_id for (_, job_id), count in self._ends.items() if count > 1]

    def _start(self, *command: str) -> "subprocess.Popen[bytes]":
        settings = self.site.settings.to_environment()
        if command[0] == "watch":
            near = f":{self.producer_wire.port}/"
            settings["ARTDREAM_BROKER_URL"] = self.site.settings.broker.replace(f":{self.site.port}/", near)
        with (self.site.folder / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "artdream", *command],
                env={**self._environment(), **settings},
                stdout=log,
                stderr=log,
            )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "AWS_ENDPOINT": f"http://127.0.0.1:{self.store_wire.port}"}

    def _start_worker(self) -> None:
        self.site.start_worker(
            through=self.worker_wire.port,
            wait=False,
            environment={"AWS_ENDPOINT": f"http://127.0.0.1:{self.store_wire.port}"},
        )

    def _some(self) -> Worker:
        """Return a worker that has a process at work, once there is one."""

        def found() -> list[Worker]:
            return [one for one in self.site.workers if len(one.family) > 1]

        self.site.until(lambda: bool(found()), patience=HEALED)
        return self.chance.choice(found())

    def _kill_child(self) -> None:
        self._some().child.kill()

    def _kill_tree(self) -> None:
        self._some().kill()

    def _kill_parent(self) -> None:
        self._some().process.kill()

    def _freeze(self) -> None:
        family = self._some().family
        for process in family:
            process.suspend()
        time.sleep(13)
        for process in family:
            process.resume()

    def _stop_worker(self) -> None:
        worker = self._some()
        worker.process.terminate()
        worker.process.wait(60)

    def _kill_producer(self) -> None:
        self.producer.kill()
        self.producer.wait()

    def _kill_display(self) -> None:
        self.display.kill()
        self.display.wait()

    def _kill_broker(self) -> None:
        self.site.kill_broker()
        time.sleep(self.chance.uniform(0, 3))
        self.site.start_broker()

    def _stop_broker(self) -> None:
        process = psutil.Process(self.site.broker._process.pid)  # type: ignore[union-attr]
        process.suspend()
        time.sleep(self.chance.uniform(3, 13))
        process.resume()

    def _pause_broker(self) -> None:
        self.site.client.execute_command("CLIENT", "PAUSE", int(1000 * self.chance.uniform(3, 13)), "ALL")

    def _wipe_broker(self) -> None:
        self._look()
        self.site.kill_broker()
        shutil.rmtree(self.site.folder / "broker")
        (self.site.folder / "broker").mkdir()
        self._life += 1
        self.site.start_broker()

    def _bend(self, one: Wire, state: wire.State) -> None:
        one.state = state
        time.sleep(self.chance.uniform(2, 8))
        one.state = wire.State.WHOLE

    def _kill_store(self) -> None:
        self.server.stop()
        time.sleep(self.chance.uniform(1, 5))
        self.server.start()

    def _double(self) -> None:
        for job_id in self._open():
            self.site.app.send_task(DREAM_TASK, args=[job_id], task_id=job_id, queue=Lane.LIVE.value)

    def _lose(self) -> None:
        for name in (name for lane in Lane for name in queue_keys(lane)):
            self.site.client.rpop(name)


def main() -> None:
    """Run, print, and fail where anything was lost or done twice."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chaos, begun = Chaos(Path(folder), chosen.seed), time.monotonic()
        try:
            report = chaos.run(chosen.jobs, chosen.faults, chosen.minutes)
        finally:
            chaos.close()
            shutil.copy(chaos.site.log, "artefacts/chaos-worker.log")
    told(report, time.monotonic() - begun)
    if report.lost or report.twice:
        sys.exit(1)


if __name__ == "__main__":
    main()
