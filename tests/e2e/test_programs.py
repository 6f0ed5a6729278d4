"""A program of another booth uses an installation as the guides say: photos in, webhooks and dreams out."""

from pathlib import Path

import pytest

from artdream.client import Client
from shared.monitoring.tracing import SpanName
from tests.display.webhooks.receiver import Receiver, verify
from tests.otlp_receiver import OtlpReceiver
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.stack import RunningStack, run_artdream

pytestmark = pytest.mark.slow


def test_a_folder_is_submitted_its_webhooks_arrive_and_its_dreams_say_what_they_are(
    tmp_path: Path, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API", "WEBHOOKS", "TRACING"):
        monkeypatch.setenv(f"ARTDREAM_{name}", "true")
    photos, dreams = tmp_path / "photos", tmp_path / "dreams"
    for folder in (photos, dreams):
        folder.mkdir()
    for number in range(2):
        (photos / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))
    (photos / "phone.heic").write_bytes(encode_heic(make_picture(2)))

    def artdream(*arguments: str) -> str:
        completed = run_artdream(*arguments, folder=tmp_path)
        assert completed.returncode == 0, completed.stderr
        return completed.stdout.strip()

    with Receiver() as webhooks, RunningStack(tmp_path, "--recipe", "lines") as stack:
        stack.start()
        secret = artdream("webhook", "add", webhooks.url, "--allow-http")
        key = artdream("api-key", "create", "booth", "--scope", "read", "--scope", "submit", "--scope", "recipes")
        client = Client(stack.url, key)
        jobs = {job.id: photo for photo, job in list(client.submit_folder(photos, "lines"))}
        assert set(jobs.values()) == set(photos.iterdir())
        stack.wait_until(lambda: len(webhooks.requests) >= len(jobs))
        assert {message.data["id"] for message in webhooks.requests} == jobs.keys()
        for message in webhooks.requests:
            assert verify(message, secret)["type"] == "dream.completed"
            dream = client.download(client.get_job(message.data["id"]), dreams / f"{jobs[message.data['id']].stem}.jpg")
            said = artdream("explain", str(dream))
            assert "made from a photo with AI" in said
            assert "unchanged: byte for byte" in said
        expected = {(job_id, name) for job_id in jobs for name in set(SpanName) - {SpanName.PAINT}}  # no wall is open
        stack.wait_until(lambda: {(span.trace_id, span.name) for span in receiver.spans} == expected)
