"""A file that crashes or hangs its decoder process affects no other file and not the producer."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from producer.decoding import pool
from producer.decoding.convert import Photo, convert
from producer.decoding.formats import Unreadable
from producer.decoding.limits import Limits
from producer.decoding.pool import DecoderPool, DecoderUnavailable
from shared.jobs.refusal import RefusalCause, RefusalCode
from tests.fault.bombs import make_png
from tests.fault.special_files import FILE_CHANGES
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.processes import list_children
from tests.producer.decoding import late_decoder
from tests.waiting import wait_until


@pytest.fixture
def decoder_pool() -> Iterator[DecoderPool]:
    with DecoderPool(2, Limits()) as decoders:
        yield decoders


@pytest.fixture(scope="module")
def slow_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that takes seconds to decode and is within all other limits; it takes as long to make."""
    path = tmp_path_factory.mktemp("slow") / "slow.avif"
    Image.new("L", (10_900, 10_900), 128).save(path, quality=30, speed=10)
    return path


def write_file(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def replace_decoder_program(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every decoder that is started from now on run a Python program instead."""
    real_popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda _, **options: real_popen([sys.executable, "-c", program], **options)
    )


def fail_to_start(*_: object, **__: object) -> None:
    raise OSError(errno.EAGAIN, "Resource temporarily unavailable")


def test_a_decoder_makes_the_same_photo_as_the_conversion_itself(decoder_pool: DecoderPool, tmp_path: Path) -> None:
    data = encode_heic(make_picture(1))
    result = decoder_pool.submit(write_file(tmp_path, "caf\udce9\n.heic", data)).result()
    assert result.photo_or_error == convert(data)
    assert isinstance(result.photo_or_error, Photo)
    assert result.photo_id == result.photo_or_error.photo_id
    assert result.seconds > 0


def test_files_are_decoded_side_by_side_in_processes_of_their_own(decoder_pool: DecoderPool, tmp_path: Path) -> None:
    paths = [write_file(tmp_path, f"{number}.jpg", encode_jpeg(make_picture(number))) for number in range(12)]
    assert all(
        isinstance(future.result().photo_or_error, Photo) for future in [decoder_pool.submit(path) for path in paths]
    )
    assert os.getpid() not in decoder_pool.list_pids()


def test_what_cannot_be_read_is_a_reason_and_what_is_gone_is_gone(decoder_pool: DecoderPool, tmp_path: Path) -> None:
    for data, reason in (
        (b"", "is empty"),
        (encode_heic(make_picture(1))[:2000], "is damaged: the file ends too early"),
    ):
        assert str(decoder_pool.submit(write_file(tmp_path, "x", data)).result().photo_or_error) == reason
    assert "is not a file" in str(decoder_pool.submit(tmp_path).result().photo_or_error)
    with pytest.raises(FileNotFoundError):
        decoder_pool.submit(tmp_path / "gone.heic").result()


def test_what_a_file_became_before_its_turn_holds_nothing_up(decoder_pool: DecoderPool, tmp_path: Path) -> None:
    """Seen failing with Path.open: a pipe blocked forever, /dev/zero used up the memory."""
    for name in ("pipe", "zero"):
        path = write_file(tmp_path, name, b"")
        FILE_CHANGES["becomes a pipe" if name == "pipe" else "becomes endless"](path)
        result = decoder_pool.submit(path).result(60)
        assert str(result.photo_or_error) == "is not a file"


def test_a_decoder_that_dies_between_two_files_is_replaced(decoder_pool: DecoderPool, tmp_path: Path) -> None:
    path = write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))
    for pid in decoder_pool.list_pids():
        os.kill(pid, signal.SIGKILL)
    assert isinstance(decoder_pool.submit(path).result().photo_or_error, Photo)


def test_a_file_that_kills_its_decoder_twice_is_refused_and_the_next_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSEGV, as a bug in a decoder would cause it."""
    busy_folder = tmp_path / "busy"
    busy_folder.mkdir()
    program = f"""
import os, runpy, signal
if len(os.listdir({str(busy_folder)!r})) == 2:
    runpy.run_module("producer.decoding.process", run_name="__main__")
print("ready", flush=True)
input()
open(f"{busy_folder}/{{os.getpid()}}", "x")
signal.pause()
"""
    replace_decoder_program(program, monkeypatch)
    killed: set[str] = set()

    def kill_busy_decoder() -> bool:
        for pid in {path.name for path in busy_folder.iterdir()} - killed:
            killed.add(pid)
            os.kill(int(pid), signal.SIGSEGV)
        return future.done()

    with DecoderPool(1, Limits()) as decoders:
        path = write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))
        future = decoders.submit(path)
        good = decoders.submit(path)
        wait_until(kill_busy_decoder, "the file is refused")
        assert str(future.result().photo_or_error) == "makes the decoder crash"
        assert len(killed) == 2
        assert isinstance(good.result().photo_or_error, Photo)


def test_a_decoder_that_hangs_is_cut_off_and_the_next_file_goes_on(tmp_path: Path) -> None:
    with DecoderPool(1, Limits(timeout_seconds=10)) as decoders:
        assert isinstance(
            decoders.submit(write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))).result().photo_or_error, Photo
        )
        os.kill(decoders.list_pids()[0], signal.SIGSTOP)
        result = decoders.submit(tmp_path / "a.jpg").result()
        assert str(result.photo_or_error) == "took longer than 10 s to decode"
        assert isinstance(decoders.submit(tmp_path / "a.jpg").result().photo_or_error, Photo)


def test_the_start_of_a_decoder_does_not_count_towards_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the imports take seconds. Seen failing with a limit that began before the decoder was ready."""
    replace_decoder_program(Path(late_decoder.__file__).read_text(), monkeypatch)
    with DecoderPool(1, Limits(timeout_seconds=late_decoder.START_SECONDS - 1)) as decoders:
        result = decoders.submit(write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))).result()
    assert isinstance(result.photo_or_error, Photo)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("print('hello', flush=True); input()", "it printed no reason"),
        ("print('x' * 40_000_000); input()", "it printed no reason"),
        ("", "it printed no reason"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys; print('a warning\\n' * 300_000, file=sys.stderr); input()", "it was not ready within 1 s"),
    ],
)
def test_no_file_is_refused_for_a_decoder_that_does_not_start(
    program: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: the guest's file “makes the decoder crash”, or “took longer than 30 s to decode”."""
    monkeypatch.setattr(pool, "START_SECONDS", 1 if "not ready" in reason else 60)
    replace_decoder_program(program, monkeypatch)
    path = write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))
    with DecoderPool(1, Limits()) as decoders:
        with pytest.raises(DecoderUnavailable) as raised:
            decoders.submit(path).result()
        assert str(raised.value) == f"Photos cannot be decoded, as no decoder process starts: {reason}."
        monkeypatch.undo()
        assert isinstance(decoders.submit(path).result().photo_or_error, Photo)


def test_no_file_is_refused_while_the_system_starts_no_process(
    decoder_pool: DecoderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with OSError, which the producer took for a file that is missing for a moment."""
    path = write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))
    monkeypatch.setattr(subprocess, "Popen", fail_to_start)
    for pid in decoder_pool.list_pids():
        os.kill(pid, signal.SIGKILL)
    for _ in range(3):
        with pytest.raises(DecoderUnavailable, match=r"starts: Resource temporarily unavailable\.$"):
            decoder_pool.submit(path).result()
    monkeypatch.undo()
    assert isinstance(decoder_pool.submit(path).result().photo_or_error, Photo)


def test_what_is_known_of_a_file_is_not_lost_if_its_decoder_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_FILES_PER_PROCESS", 1)
    with DecoderPool(1, Limits()) as decoders:
        monkeypatch.setattr(subprocess, "Popen", fail_to_start)
        result = decoders.submit(write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))).result()
    assert isinstance(result.photo_or_error, Photo)


def test_a_picture_that_takes_too_long_is_refused(slow_picture: Path) -> None:
    with DecoderPool(1, Limits(timeout_seconds=0.2)) as decoders:
        result = decoders.submit(slow_picture).result().photo_or_error
        assert isinstance(result, Unreadable)
        assert "took longer than" in str(result)


def test_whoever_ends_the_decoders_while_they_are_busy_leaves_none_behind(slow_picture: Path) -> None:
    """Some of the tries close the pool while a hanging decoder is being replaced."""
    for _ in range(4):
        with DecoderPool(2, Limits(timeout_seconds=0.2)) as decoders:
            first_pids = decoders.list_pids()
            futures = [decoders.submit(slow_picture) for _ in range(4)]
            wait_until(lambda: decoders.list_pids() != first_pids)  # noqa: B023
        assert all(future.done() for future in futures)
        assert not list_children(os.getpid(), "producer.decoding.process")


def test_a_decoder_at_its_file_limit_is_replaced_before_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_FILES_PER_PROCESS", 2)
    path = write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))
    with DecoderPool(1, Limits()) as decoders:
        first_pids = decoders.list_pids()
        decoders.submit(path).result()
        assert decoders.list_pids() == first_pids
        decoders.submit(path).result()
        assert decoders.list_pids() != first_pids
        assert isinstance(decoders.submit(path).result().photo_or_error, Photo)


def test_what_a_library_prints_is_no_answer() -> None:
    program = """
import os
from producer.decoding import process as decoder
def decode(*_, **__):
    os.write(1, b"libtiff: a warning\\n")
    return {"gone": True}, []
decoder.decode = decode
decoder.main()
"""
    request = '{"path": "61", "limits": [1, 1, 1.0], "cut": false}\n'
    completed = subprocess.run(
        [sys.executable, "-c", program], input=request, capture_output=True, text=True, check=True
    )
    assert completed.stdout == 'ready\n{"gone": true, "lengths": []}\n'
    assert completed.stderr == ""


def test_what_is_no_answer_counts_as_a_crash(
    decoder_pool: DecoderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder that a hostile file took over may send anything."""
    monkeypatch.setattr(pool, "parse_photo", lambda *_: 1 / 0)
    result = decoder_pool.submit(write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))).result()
    assert str(result.photo_or_error) == "makes the decoder crash"


VALID_ANSWER = {"photo_id": "0" * 64, "width": 9, "height": 9, "camera": "x"}


@pytest.mark.parametrize(
    "response",
    [
        {"photo": VALID_ANSWER | {"photo_id": "../../../etc/cron.d/x"}},
        {"photo": VALID_ANSWER | {"photo_id": 7}},
        {"photo": VALID_ANSWER | {"width": 10**9}},
        {"photo": VALID_ANSWER | {"camera": "x" * 10_000}},
        {"photo": VALID_ANSWER, "body": "<script>"},
        {"photo": VALID_ANSWER, "lengths": [3, 10**12]},
        {"photo": VALID_ANSWER, "lengths": [4, -1]},
        {"photo": VALID_ANSWER, "lengths": [3]},
        {"photo": VALID_ANSWER, "lengths": [3, 0, 0, 0]},
        *({"photo": VALID_ANSWER, "seconds": seconds} for seconds in (math.nan, math.inf, -1, 1e308)),
        {"photo_id": "../../x", "reason": "is damaged"},
        {"photo_id": "", "reason": "is\nfine"},
        {"photo_id": "", "reason": "x" * 10_000},
        {"photo_id": "", "reason": "is damaged", "error": "SystemExit"},
        {"photo_id": "", "reason": "is damaged", "cause": {"code": "<script>"}},
        {"photo_id": "", "reason": "is damaged", "cause": {"code": "damaged", "values": {"most": "<script>"}}},
        {"line": "'x' * 40_000_000"},
        {"line": "'[]'"},
        {"line": "'[' * 100_000"},
    ],
    ids=lambda response: repr(response)[:60],
)
def test_a_decoder_that_a_file_took_over_can_say_nothing_but_that_it_crashed(
    response: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing without checks of responses.

    Ids led out of the outbox, an endless line used up the memory, and a photo with a time that is no number stayed in
    the outbox.
    """
    message = {"error": "Unreadable", "seconds": 0.1, "lengths": [3, 0, 0]} | response
    line, body = response.get("line", repr(json.dumps(message))), response.get("body", "\xff\xd8\xff")
    program = f"""
import sys
print("ready", flush=True)
for line in sys.stdin:
    sys.stdout.buffer.write(({line}).encode() + b"\\n" + {str(body).encode("latin-1")!r})
    sys.stdout.buffer.flush()
"""
    replace_decoder_program(program, monkeypatch)
    with DecoderPool(1, Limits(timeout_seconds=5)) as decoders:
        result = decoders.submit(write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))).result()
    assert str(result.photo_or_error) == "makes the decoder crash"
    assert result.photo_id == ""


def test_limits_are_those_of_the_installation(tmp_path: Path) -> None:
    path = write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1, (2000, 1000))))
    with DecoderPool(1, Limits(max_bytes=10_000)) as decoders:
        error = decoders.submit(path).result().photo_or_error
    assert isinstance(error, Unreadable)
    assert "is too large: at most 0 MB" in str(error)
    assert error.cause == RefusalCause(RefusalCode.TOO_LARGE, {"most": 0})
    with DecoderPool(1, Limits(max_megapixels=1)) as decoders:
        assert "2 megapixels, at most 1" in str(decoders.submit(path).result().photo_or_error)


def test_a_bomb_is_refused_at_once(decoder_pool: DecoderPool, tmp_path: Path) -> None:
    bomb = make_png(60_000, 60_000, 1, 0, b"")
    result = decoder_pool.submit(write_file(tmp_path, "bomb.png", bomb)).result()
    assert "3,600 megapixels" in str(result.photo_or_error)


def test_no_decoder_outlives_a_producer_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import sys; from producer.decoding.pool import DecoderPool; from producer.decoding.limits import Limits\n"
        "with DecoderPool(2, Limits()) as decoders: print(*decoders.list_pids(), flush=True); sys.stdin.read()"
    )
    producer = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert producer.stdout is not None
    pids = [int(word) for word in producer.stdout.readline().split()]
    assert len(pids) == 2
    producer.kill()
    producer.communicate()
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_module_that_a_guest_drops_where_the_producer_runs_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')")
    path = write_file(tmp_path, "a.jpg", encode_jpeg(make_picture(1)))
    with DecoderPool(1, Limits()) as decoders:
        assert isinstance(decoders.submit(path).result().photo_or_error, Photo)
    assert not (tmp_path / "owned").exists()


def test_a_decoder_imports_nothing_but_what_decodes() -> None:
    program = "import sys, producer.decoding.process; print(*sorted(sys.modules))"
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"celery", "redis", "obstore", "pydantic", "tensorflow", "keras"} & set(completed.stdout.split())
