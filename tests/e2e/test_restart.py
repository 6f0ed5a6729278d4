"""After any end of `artdream up` or of a component, the next start resumes the waiting jobs."""

import pytest

from tests.pictures import encode_jpeg, make_picture
from tests.stack import RunningStack, run_artdream

pytestmark = pytest.mark.slow


def test_ctrl_c_leaves_nothing_behind_and_the_next_start_goes_on_with_what_waited(stack: RunningStack) -> None:
    count_before = len(stack.list_completed())
    assert stack.interrupt() == 0
    assert stack.list_leftover_processes() == []
    assert "Stopped" in stack.read_output()
    assert run_artdream("status", folder=stack.folder).returncode == 1

    stack.start(until_warm=False)
    stack.drop_file("waits.jpg", encode_jpeg(make_picture(107)))
    stack.wait_until(lambda: any(event.type == "queued" for event in stack.events[-1:]))
    assert stack.interrupt() == 0  # before the worker was warm
    assert stack.list_leftover_processes() == []

    stack.start()
    stack.wait_until(lambda: len(stack.list_completed()) == count_before + 1)
    assert stack.stderr_path.read_text() == ""


def test_after_a_kill_the_next_start_ends_what_was_left_and_goes_on(stack: RunningStack) -> None:
    count_before = len(stack.list_completed())
    stack.kill()
    stack.drop_file("meanwhile.jpg", encode_jpeg(make_picture(108)))
    stack.start()
    assert "Stopped processes of an earlier run" in stack.read_output()
    stack.wait_until(lambda: len(stack.list_completed()) == count_before + 1)


def test_after_a_power_cut_the_next_start_goes_on_and_says_warm_only_when_it_is(stack: RunningStack) -> None:
    count_before, log = len(stack.list_completed()), stack.data / "logs" / "worker.log"
    stack.kill_all()
    stack.drop_file("dark.jpg", encode_jpeg(make_picture(109)))
    warm_count = log.read_text().count("is warm after")
    stack.start()
    assert log.read_text().count("is warm after") == warm_count + 1
    stack.wait_until(lambda: len(stack.list_completed()) == count_before + 1)


@pytest.mark.parametrize(("part", "seed"), [("worker", 121), ("producer", 122), ("display", 123), ("broker", 124)])
def test_a_part_that_is_killed_is_started_again_and_the_operator_told(
    stack: RunningStack, part: str, seed: int
) -> None:
    count_before = len(stack.list_completed())
    stack.kill_component(part)
    stack.drop_file(f"{part}.jpg", encode_jpeg(make_picture(seed)))
    stack.wait_until(lambda: f"The {part} exited unexpectedly (signal SIGKILL)" in stack.read_output())
    stack.wait_until(lambda: len(stack.list_completed()) == count_before + 1)
    stack.wait_until(lambda: stack.is_answering())
