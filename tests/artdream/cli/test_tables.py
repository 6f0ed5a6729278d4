"""Tables on the terminal: on 80 columns every text is there, as it is."""

import io

import pytest
import redis
from rich.console import Console

from artdream.cli.tables import PlainTable, print_with_notes
from shared.api.keys import ApiKeys, Scope
from shared.jobs.job import Job, Lane
from shared.jobs.queue import create_celery_app, submit
from shared.jobs.table import JobTable
from shared.recipe.recipe import list_recipe_names, load_recipe
from shared.settings import Settings
from shared.storage.store import Store
from shared.webhooks.endpoints import Endpoints
from shared.webhooks.table import MessageType
from tests.stack import run_in_process

URL = "https://[fd00::7]:8443/a/very/long/path/to/the/hook?token=0123456789abcdef0123456789abcdef"
REASON = "The photo photos/0123.jpg [b]of the store[/b] is damaged, and what is said of it is long."


@pytest.fixture(autouse=True)
def narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def run(settings: Settings, *arguments: str) -> str:
    """Return what a command prints, in at most 80 columns, with single spaces."""
    environment = {"ARTDREAM_BROKER_URL": settings.broker, "ARTDREAM_DATA": str(settings.data)}
    completed = run_in_process(*arguments, folder=settings.inbox, environment=environment)
    assert completed.returncode == 0, completed.stderr
    assert max(map(len, completed.stdout.splitlines())) <= 80, completed.stdout
    assert "…" not in completed.stdout
    return " ".join(completed.stdout.split())


def test_lists_of_keys_and_webhooks_have_whole_ids_names_and_urls(
    settings: Settings, client: redis.Redis, store: Store
) -> None:
    key, _ = ApiKeys(client, store).create("Night batches of the Museum of Modern Art", tuple(Scope), 50_000)
    listed = run(settings, "api-key", "list")
    assert all(text in listed for text in (key.id, "50000/hour", *Scope))
    assert {"Night", "batches", "Museum", "Modern"} < set(listed.split())
    Endpoints(client, store).add("0" * 16, URL, tuple(MessageType)[:2], "", "5" * 64)
    listed = run(settings, "webhook", "list")
    assert "0" * 16 in listed
    assert URL in listed.replace(" completed", "").replace(" failed", "").replace(" ", "")


def test_the_list_of_jobs_has_their_states_recipes_and_whole_reasons(settings: Settings, client: redis.Redis) -> None:
    table, app = JobTable(client), create_celery_app(settings)
    recipe = load_recipe("hybrid-vasiliy-kandinskiy")
    cancelled, failed = (Job(photo_id=f"{n:064x}", recipe=recipe, lane=Lane.BATCH) for n in (1, 2))
    for job in (cancelled, failed):
        submit(app, table, job)
    table.cancel(cancelled.id)
    claim = table.claim(failed, "w")
    assert claim
    table.fail(claim, REASON)
    listed = run(settings, "jobs", "list")
    assert all(text in listed for text in (failed.id[:12], "cancelled", "failed", recipe.name, REASON))


def test_the_lists_of_recipes_and_networks_have_whole_descriptions_and_names(settings: Settings) -> None:
    listed = run(settings, "recipes", "list")
    for name in list_recipe_names():
        recipe = load_recipe(name)
        assert f"{name} {recipe.title} {recipe.network} {recipe.canvas} px {recipe.description}" in listed
    listed = run(settings, "networks", "list")
    for text in ("artist/masters-robust", "EfficientNet-Lite0", "Keras, ImageNet", "CC-BY-4.0", "missing"):
        assert text in listed


@pytest.mark.parametrize("text", ["[b]bold[/b]", "[/b]", "a\\[b", "世界" * 30])
def test_a_cell_is_shown_as_it_is(text: str) -> None:
    output = io.StringIO()
    console = Console(file=output, width=40)
    table = PlainTable("Artist", numbers=("Works",))
    table.add_row(text, "7")
    console.print(table)
    print_with_notes(("Artist", "Works"), [(("7", text), text)], console)
    assert "".join(output.getvalue().split()).replace("7", "").count(text) == 3
