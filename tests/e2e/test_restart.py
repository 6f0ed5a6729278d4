"""Whatever ends `artdream up`, or a part of it, the next start goes on with what waited."""

import pytest

from tests.pictures import colours, jpeg
from tests.stack import Up, artdream


def test_ctrl_c_leaves_nothing_behind_and_the_next_start_goes_on_with_what_waited(up: Up) -> None:
    before = len(up.completed())
    assert up.interrupt() == 0
    assert up.left_behind() == []
    assert "Stopped" in up.printed()
    assert artdream("status", folder=up.folder).returncode == 1

    up.start(warm=False)
    up.drop("waits.jpg", jpeg(colours(107)))
    up.until(lambda: any(event.type == "queued" for event in up.events[-1:]))
    assert up.interrupt() == 0  # before the worker was warm
    assert up.left_behind() == []

    up.start()
    up.until(lambda: len(up.completed()) == before + 1)
    assert up.err.read_text() == ""


def test_after_a_kill_the_next_start_ends_what_was_left_and_goes_on(up: Up) -> None:
    before = len(up.completed())
    up.kill()
    up.drop("meanwhile.jpg", jpeg(colours(108)))
    up.start()
    assert "Ended what an earlier run left behind" in up.printed()
    up.until(lambda: len(up.completed()) == before + 1)


def test_after_a_power_cut_the_next_start_goes_on_and_says_warm_only_when_it_is(up: Up) -> None:
    before, log = len(up.completed()), up.data / "logs" / "worker.log"
    up.kill_all()
    up.drop("dark.jpg", jpeg(colours(109)))
    warm = log.read_text().count("is warm after")
    up.start()
    assert log.read_text().count("is warm after") == warm + 1
    up.until(lambda: len(up.completed()) == before + 1)


@pytest.mark.parametrize(("part", "seed"), [("worker", 121), ("producer", 122), ("display", 123), ("broker", 124)])
def test_a_part_that_is_killed_is_started_again_and_the_operator_told(up: Up, part: str, seed: int) -> None:
    before = len(up.completed())
    up.kill_part(part)
    up.drop(f"{part}.jpg", jpeg(colours(seed)))
    up.until(lambda: f"The {part} ended by itself (signal SIGKILL)" in up.printed())
    up.until(lambda: len(up.completed()) == before + 1)
    up.until(lambda: up.answers())
