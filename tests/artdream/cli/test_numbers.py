"""`artdream numbers`: the numbers of the evening, as a table and as CSV."""

import csv
import io
import json

import redis

from artdream.cli.numbers import COMPARISON_CAUTION
from shared.monitoring.usage_report import UsageRow
from shared.settings import Settings
from tests.stack import run_in_process
from tests.usage_evening import count_comparison, count_evening


def run_numbers(settings: Settings, *arguments: str) -> str:
    environment = {"ARTDREAM_BROKER_URL": settings.broker, "ARTDREAM_DATA": str(settings.data)}
    completed = run_in_process("numbers", *arguments, folder=settings.inbox, environment=environment)
    assert (completed.returncode, completed.stderr) == (0, "")
    return completed.stdout


def test_table_and_csv_say_the_same(settings: Settings, client: redis.Redis) -> None:
    evening = count_evening(client, 40)
    rows = list(csv.DictReader(io.StringIO(run_numbers(settings, "--days", "2", "--csv"))))
    assert list(rows[0]) == list(UsageRow._fields)
    assert sum(int(row["dreams"]) for row in rows) == evening.dreams
    lines = run_numbers(settings, "--days", "2").splitlines()
    hours = [row["hour_local"][5:16].split("T") for row in rows]
    assert [line.split()[:2] for line in lines if line[:1].isdigit()] == hours
    [total] = [line.split() for line in lines if line.startswith("all")]
    assert total[1:5] == [str(number) for number in (evening.photos, evening.dreams, evening.failed, evening.refused)]
    assert total[-3:] == [str(number) for number in (evening.opened, evening.saved, evening.printed)]


def test_json_and_table_have_the_versions_of_a_recipe_that_were_compared(
    settings: Settings, client: redis.Redis
) -> None:
    count_comparison(client, 60, percent=50)
    document = json.loads(run_numbers(settings, "--days", "2", "--json"))
    [comparison] = document["comparisons"]
    arms = [comparison[arm] for arm in ("current", "candidate")]
    assert sum(arm["photos"] for arm in arms) == document["total"]["photos_inbox"] == 60
    assert sum(arm["saved"]["number"] for arm in arms) == document["total"]["dreams_saved"]
    lines = run_numbers(settings, "--days", "2").splitlines()
    for arm in arms:
        [row] = [line for line in lines if line.startswith(f"night {arm['version']} ")]
        low, high = (100 * arm["saved"][bound] for bound in ("low", "high"))
        assert f"({low:.0f}–{high:.0f})" in row
    assert lines[-1].endswith(COMPARISON_CAUTION)


def test_where_nothing_happened_the_table_says_so_and_the_csv_has_its_header(
    settings: Settings, client: redis.Redis
) -> None:
    assert run_numbers(settings) == "Nothing happened in that time.\n"
    assert run_numbers(settings, "--csv").splitlines() == [",".join(UsageRow._fields)]
