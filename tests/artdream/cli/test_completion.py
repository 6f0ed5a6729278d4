"""Shell completion: Tab completes commands and the names of recipes, networks, lanes and states."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.storage.store import Store

#: The program that a shell calls; `python -m artdream` has no name that a shell could complete.
PROGRAM = Path(sys.executable).with_name("artdream")


def complete(line: str, folder: Path, **environment: str) -> list[str]:
    """Return what Bash offers after a line, whose last word is incomplete."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    completed = subprocess.run(
        [PROGRAM],
        env=os.environ | words | {"_ARTDREAM_COMPLETE": "complete_bash"} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stderr == ""
    return completed.stdout.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("artdream eval", ["evaluate"]),
        ("artdream jobs re", ["retry"]),
        ("artdream dream in.heic out.jpg --recipe more-paul-k", ["more-paul-klee"]),
        ("artdream send in.heic --recipe lines,nig", ["lines,night"]),
        ("artdream jobs list --state ca", ["cancelled"]),
        ("artdream worker --lane l", ["live"]),
        ("artdream networks show ince", ["inception_v3"]),
        ("artdream evaluate artist/masters-c", ["artist/masters-critic"]),
    ],
)
def test_names_are_completed(line: str, names: list[str], tmp_path: Path) -> None:
    assert complete(line, tmp_path) == names
    assert list(tmp_path.iterdir()) == []


def test_networks_of_the_installation_are_completed_and_no_other_machine_is_asked(tmp_path: Path) -> None:
    Store((tmp_path / "artdream-data" / "store").as_uri()).put("networks/mine/network.keras", b"")
    assert complete("artdream networks show artist/mi", tmp_path) == ["artist/mine"]
    assert complete("artdream networks show artist/mi", tmp_path, ARTDREAM_STORE_URL="s3://nowhere/else") == []


def test_an_invalid_setting_breaks_no_completion(tmp_path: Path) -> None:
    assert complete("artdream networks show li", tmp_path, ARTDREAM_PORT="none") == []


def test_an_old_spelling_is_completed_without_a_hint(tmp_path: Path) -> None:
    """Seen failing with the hint on the terminal, in the middle of the line."""
    assert "--side" in complete("artdream dataset organise paintings data --si", tmp_path)
    assert "--out" in complete("artdream train --data paintings --o", tmp_path)


def test_the_script_for_a_shell_is_printed(tmp_path: Path) -> None:
    completed = subprocess.run(
        [PROGRAM],
        env=os.environ | {"_ARTDREAM_COMPLETE": "source_zsh"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "#compdef artdream" in completed.stdout
