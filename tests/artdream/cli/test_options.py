"""Options that several commands share."""

import pytest

from artdream.cli.options import load_settings


@pytest.mark.parametrize(
    "values", [["lines", "night", "animals"], ["lines, night", "animals"], ["lines,night,animals"]]
)
def test_recipes_are_repeated_or_separated_by_commas(values: list[str]) -> None:
    assert load_settings(recipes=values).recipes == ("lines", "night", "animals")


def test_without_the_option_the_setting_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTDREAM_RECIPE", "lines, night")
    assert load_settings(recipes=None).recipes == load_settings(recipes=[]).recipes == ("lines", "night")
