"""The whole installation with a printer: a photo goes in, and a sheet with its dream comes out."""

from pathlib import Path

import pytest

from tests.pictures import encode_jpeg, make_picture
from tests.print_server import PrintServer
from tests.stack import RunningStack

pytestmark = pytest.mark.slow


def test_a_photo_in_the_inbox_comes_out_of_the_printer_as_a_dream(
    tmp_path: Path, print_server: PrintServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTDREAM_PRINT_AUTOMATIC", "true")
    with RunningStack(tmp_path, "--printer", print_server.url, "--recipe", "animals") as stack:
        stack.start()
        assert print_server.url in stack.read_output()
        stack.drop_file("photo.jpg", encode_jpeg(make_picture(1)))
        stack.wait_until(lambda: len(stack.list_completed()) == 1)
        stack.wait_until(lambda: len(print_server.list_printed()) == 1)
        [completed] = stack.list_completed()
        assert f" {completed.job_id}-automatic-1 1" in print_server.list_printed()[0]
        stack.kill_component("printer")
        stack.drop_file("other.jpg", encode_jpeg(make_picture(2)))
        stack.wait_until(lambda: len(print_server.list_printed()) == 2)
        assert stack.interrupt() == 0
    assert stack.list_leftover_processes() == []
