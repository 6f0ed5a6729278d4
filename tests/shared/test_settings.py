"""Settings come from the environment, once, and a wrong one is named."""

from pathlib import Path

import pytest

from shared.errors import ArtDreamError
from shared.settings import BROKER_FILE, Settings, example


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


def test_a_child_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.read(data=Path("d"), port=9001, broker_url="redis://:secret@h/0")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.read() == settings


def test_the_brokers_password_is_not_in_what_is_printed() -> None:
    settings = Settings.read(broker_url="redis://:hunter2@h/0")
    assert "hunter2" not in repr(settings)
    assert settings.broker == "redis://:hunter2@h/0"


def test_the_broker_of_a_running_stack_is_found_in_its_data_folder(tmp_path: Path) -> None:
    settings = Settings.read(data=tmp_path)
    with pytest.raises(ArtDreamError, match="artdream up"):
        _ = settings.broker
    (tmp_path / BROKER_FILE).write_text("redis://127.0.0.1:1/0\n")
    assert settings.broker == "redis://127.0.0.1:1/0"


def test_the_example_names_every_setting_and_changes_none(tmp_path: Path) -> None:
    before = Settings.read()
    (tmp_path / ".env").write_text(example().replace("# ARTDREAM_", "ARTDREAM_"))
    assert Settings.read() == before
    for name in Settings.model_fields:
        assert f"ARTDREAM_{name.upper()}=" in example()
