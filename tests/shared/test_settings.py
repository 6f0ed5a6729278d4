"""Settings come from environment, secret files and command line, and an invalid one is named."""

import os
import re
from pathlib import Path

import pytest

from shared.errors import ArtDreamError
from shared.settings import BROKER_FILE, SETTING_GROUPS, Settings, render_env_example


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_environment_sets_what_the_command_line_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTDREAM_PORT", "9000")
    monkeypatch.setenv("ARTDREAM_RECIPE", "lines")
    settings = Settings.read(port=9001, recipe=None)
    assert (settings.port, settings.recipe) == (9001, "lines")


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArtDreamError, match="ARTDREAM_PORT"):
        Settings.read(port=70000)
    monkeypatch.setenv("ARTDREAM_PORT", "many")
    with pytest.raises(ArtDreamError, match=r"ARTDREAM_PORT.*'many'"):
        Settings.read()


@pytest.mark.parametrize(
    "url", ["dream.example.org", "https://example.org/dream", "https://example.org/?a=b", "https://"]
)
def test_a_public_address_is_the_root_of_a_host_or_none(url: str) -> None:
    """Seen failing: below a path no page found its scripts, and no photo could be sent."""
    with pytest.raises(ArtDreamError, match="ARTDREAM_PUBLIC_URL: name the display's address as https://"):
        Settings.read(public_url=url)
    for valid in ("https://dream.example.org/", "http://[2001:db8::1]:8501", "none"):
        assert Settings.read(public_url=valid).public_url == valid


@pytest.mark.parametrize("proxies", ["proxy.example", "10.0.0.1/8", "*"])
def test_a_trusted_proxy_is_an_address_or_a_network(proxies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTDREAM_TRUSTED_PROXIES", f"10.0.0.1, {proxies}")
    with pytest.raises(ArtDreamError, match=re.escape(f"TRUSTED_PROXIES: {proxies} is neither an IP")):
        Settings.read()


def test_a_child_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.read(data=Path("d"), port=9001, broker_url="rediss://:hunter-at-dusk@h/0")
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.read() == settings


def test_the_brokers_password_is_not_in_what_is_printed() -> None:
    settings = Settings.read(broker_url="redis://:hunter-at-dusk@localhost/0")
    assert "dusk" not in repr(settings)
    assert settings.broker == "redis://:hunter-at-dusk@localhost/0"


@pytest.mark.parametrize("name", ["passcode", "links_secret", "broker_url"])
def test_a_wrong_secret_is_named_and_not_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if `Settings.is_secret` returns False."""
    monkeypatch.setenv(f"ARTDREAM_{name.upper()}", "dusk")
    with pytest.raises(ArtDreamError, match=f"ARTDREAM_{name.upper()}") as raised:
        _ = Settings.read().broker
    assert "dusk" not in str(raised.value)


def test_not_even_a_traceback_tells_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails without `hide_input_in_errors`."""
    monkeypatch.setenv("ARTDREAM_LINKS_SECRET", "dusk")
    with pytest.raises(ValueError, match="links_secret") as raised:
        Settings()
    assert "dusk" not in str(raised.value)


@pytest.mark.parametrize("name", ["passcode", "links_secret"])
def test_a_secret_that_everybody_knows_is_refused_and_not_told(name: str) -> None:
    """Fails without the validator."""
    with pytest.raises(ArtDreamError, match="is a placeholder that everybody knows") as raised:
        Settings.read(**{name: "changeme-changeme"})
    assert "changeme" not in str(raised.value)


def test_secrets_come_from_files_of_one_folder_and_those_of_the_store_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails without the secret files as a source of settings, and without `export_store_secrets`."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "artdream_broker_url").write_text("rediss://artdream:hunter-at-dusk@h/0\n")
    (folder / "aws_secret_access_key").write_text("fisher-at-dawn\n")
    monkeypatch.setenv("ARTDREAM_SECRETS_DIR", str(folder))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")  # so that monkeypatch restores it at the end
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert Settings.read().configured_broker_url == "rediss://artdream:hunter-at-dusk@h/0"
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "fisher-at-dawn"
    monkeypatch.setenv("ARTDREAM_BROKER_URL", "rediss://artdream:from-the-environment@h/0")
    assert "from-the-environment" in Settings.read().configured_broker_url
    monkeypatch.setenv("ARTDREAM_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ArtDreamError, match=r"ARTDREAM_SECRETS_DIR: there is no folder .*/nowhere\.$"):
        Settings.read()


def test_the_broker_of_a_running_stack_is_found_in_its_data_folder(tmp_path: Path) -> None:
    settings = Settings.read(data=tmp_path)
    with pytest.raises(ArtDreamError, match="artdream up"):
        _ = settings.broker
    (tmp_path / BROKER_FILE).write_text("redis://127.0.0.1:1/0\n")
    assert settings.broker == "redis://127.0.0.1:1/0"


def test_every_setting_is_in_one_group() -> None:
    assert sorted(name for names in SETTING_GROUPS.values() for name in names) == sorted(Settings.model_fields)


def test_the_example_names_every_setting_and_changes_none(tmp_path: Path) -> None:
    before = Settings.read()
    (tmp_path / ".env").write_text(render_env_example().replace("# ARTDREAM_", "ARTDREAM_"))
    assert Settings.read() == before
    for name in Settings.model_fields:
        assert f"ARTDREAM_{name.upper()}=" in render_env_example()
