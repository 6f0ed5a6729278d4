"""Events, whatever is in them: each is read as it was written, and no entry of the stream disturbs its reader."""

import json
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from shared.art_map import MapPoint
from shared.jobs.events import HELD_FIELD, ClassProbability, Completed, Event, Stage, parse_entry
from shared.jobs.refusal import RefusalCause, RefusalCode
from shared.storage.object_names import is_object_name
from tests.nested import iter_infinities, iter_places

words = st.text(max_size=10)
ids = st.text("abcXYZ019_-", max_size=64)
object_names = words.filter(is_object_name)
numbers = st.floats(allow_nan=False, allow_infinity=False)
points = st.tuples(numbers, numbers)
value_names = st.from_regex("[a-z_]{1,40}", fullmatch=True)

FIELDS: dict[str, st.SearchStrategy[object]] = {
    "job_id": ids,
    "photo_id": ids,
    "photo": object_names,
    "dream": object_names,
    "frame": object_names,
    "fraction": numbers,
    "dreamt_at": numbers,
    "stages": st.dictionaries(st.sampled_from(Stage), numbers),
    "verdicts": st.lists(st.builds(ClassProbability, name=words, photo=numbers, dream=numbers), max_size=2).map(tuple),
    "place": st.none() | st.builds(MapPoint, network=words, photo=points, dream=points),
    "cause": st.none()
    | st.builds(RefusalCause, st.sampled_from(RefusalCode), st.dictionaries(value_names, st.integers(), max_size=4)),
    **dict.fromkeys(("title", "recipe", "lane", "worker", "reason", "file"), words),
}


def build_events(event_type: type[Event]) -> st.SearchStrategy[Event]:
    """Return a strategy for the events of one type."""
    names = event_type.model_fields.keys() - {"version", "type"}
    return st.builds(event_type, **{name: FIELDS[name] for name in names})


FIELDS["completed"] = build_events(Completed)

events = st.one_of([build_events(event_type) for event_type in get_args(Event)])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(words, values, max_size=3),
    max_leaves=5,
)


@st.composite
def changed_events(draw: st.DrawFn) -> str:
    """Draw an event of which something has any other value, as JSON."""
    fields = draw(events).model_dump(mode="json")
    part, key = draw(st.sampled_from(list(iter_places(fields))))
    part[key] = draw(json_values)
    return json.dumps(fields)


@given(events, st.booleans())
def test_each_event_is_read_as_it_was_written(event: Event, held: bool) -> None:
    fields = {"event": event.model_dump_json()} | ({HELD_FIELD: "1"} if held else {})
    recorded = parse_entry("7-0", fields)
    assert recorded
    assert (recorded.event, recorded.held) == (event, held)


@given(st.text() | st.binary().map(lambda data: data.decode(errors="replace")) | json_values.map(json.dumps))
def test_what_is_no_event_is_passed_over(text: str) -> None:
    assert parse_entry("7-0", {"event": text}) is None


@given(changed_events())
def test_an_entry_is_passed_over_or_can_be_told_to_every_browser(text: str) -> None:
    recorded = parse_entry("7-0", {"event": text})
    if recorded:
        json.dumps(recorded.event.model_dump(), allow_nan=False)
        assert parse_entry("7-0", {"event": recorded.event.model_dump_json()}) == recorded


@given(events)
def test_no_number_of_an_event_is_infinite(event: Event) -> None:
    """Fails with a field that is a `float`: the display then sends JSON that no browser reads."""
    for fields in iter_infinities(event.model_dump(mode="json")):
        assert parse_entry("7-0", {"event": json.dumps(fields)}) is None
