"""A canary gives its share of the photos the candidate, each photo always the same, and never costs a job."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.jobs.job import Job
from shared.monitoring.usage_counts import Counted, make_name
from shared.recipe.canary import MAX_CANDIDATE_VERSION, MAX_COMPARED_CHARACTERS, Arm, Canary, assign_recipe
from shared.recipe.objective import Layers
from shared.recipe.recipe import load_recipe

NIGHT = load_recipe("night")
CANDIDATE = NIGHT.model_copy(update={"version": NIGHT.version + 1, "title": "Night, brighter"})
PHOTO_IDS = [hashlib.sha256(f"photo {number}".encode()).hexdigest() for number in range(10_000)]

photo_ids = st.binary(min_size=32, max_size=32).map(bytes.hex)
percents = st.integers(0, 100)


@pytest.mark.parametrize("percent", [1, 10, 50])
def test_the_share_is_met_over_ten_thousand_photos(percent: int) -> None:
    canary = Canary(candidate=CANDIDATE, percent=percent)
    count = sum(canary.assign(NIGHT, photo_id).recipe is CANDIDATE for photo_id in PHOTO_IDS)
    deviation = (10_000 * percent / 100 * (1 - percent / 100)) ** 0.5
    assert abs(count - 100 * percent) <= 4 * deviation


@given(photo_ids, percents, percents)
def test_a_photo_keeps_the_candidate_at_any_higher_share(photo_id: str, percent: int, other: int) -> None:
    low, high = (Canary(candidate=CANDIDATE, percent=each).assign(NIGHT, photo_id) for each in sorted((percent, other)))
    if low.recipe is CANDIDATE:
        assert high == low


def test_neither_order_nor_process_changes_a_photo_s_version() -> None:
    canary, photo_ids = Canary(candidate=CANDIDATE, percent=10), PHOTO_IDS[:1000]
    first = {photo_id: canary.assign(NIGHT, photo_id) for photo_id in photo_ids}
    again = Canary.model_validate_json(canary.model_dump_json())
    shuffled = random.Random(1).sample(photo_ids, len(photo_ids))
    assert {photo_id: again.assign(NIGHT, photo_id) for photo_id in shuffled} == first


def test_a_photo_s_version_is_a_contract_of_all_machines_and_releases() -> None:
    """The id of the job in a guest's link depends on it."""
    digest = hashlib.sha256(f"{CANDIDATE.digest}/{PHOTO_IDS[0]}".encode()).hexdigest()
    share = int(digest[:16], 16) / 2**64
    for percent in (int(100 * share), int(100 * share) + 1):
        is_candidate = Canary(candidate=CANDIDATE, percent=percent).assign(NIGHT, PHOTO_IDS[0]).recipe is CANDIDATE
        assert is_candidate == (share < percent / 100)


def test_the_next_candidate_is_for_other_photos() -> None:
    one, other = (Canary(candidate=CANDIDATE.model_copy(update={"version": version}), percent=50) for version in (8, 9))
    both = [
        photo_id
        for photo_id in PHOTO_IDS[:1000]
        if all(canary.assign(NIGHT, photo_id).recipe is canary.candidate for canary in (one, other))
    ]
    assert 180 < len(both) < 320  # 250 by chance


def test_only_an_earlier_version_of_the_same_recipe_is_compared() -> None:
    canary = Canary(candidate=CANDIDATE, percent=100)
    for recipe in (load_recipe("lines"), CANDIDATE, CANDIDATE.model_copy(update={"version": 99})):
        assert canary.assign(recipe, PHOTO_IDS[0]) == (recipe, None)
    assert assign_recipe(None, NIGHT, PHOTO_IDS[0]) == (NIGHT, None)
    assert Canary(candidate=CANDIDATE, percent=0).assign(NIGHT, PHOTO_IDS[0]) == (NIGHT, None)


def test_a_job_of_the_current_version_keeps_its_id_and_that_of_the_candidate_carries_both() -> None:
    canary = Canary(candidate=CANDIDATE, percent=50)
    for photo_id in PHOTO_IDS[:50]:
        recipe, comparison = canary.assign(NIGHT, photo_id)
        job = Job(photo_id=photo_id, recipe=recipe, comparison=comparison)
        assert Job.model_validate_json(job.model_dump_json()) == job
        assert job.id == Job(photo_id=photo_id, recipe=recipe).id
        assert comparison
        assert comparison.current == (NIGHT if comparison.arm is Arm.CANDIDATE else None)
        make_name(Counted.COMPARED, *f"{comparison.counted_as}-completed".split("|"))
    assert "comparison" not in Job(photo_id=PHOTO_IDS[0], recipe=NIGHT).model_dump_json()


def test_the_longest_names_are_still_labels_of_counts() -> None:
    longest = NIGHT.model_copy(update={"name": "n" * 41, "version": MAX_CANDIDATE_VERSION - 1})
    candidate = longest.model_copy(update={"version": MAX_CANDIDATE_VERSION})
    _, comparison = Canary(candidate=candidate, percent=100).assign(longest, PHOTO_IDS[0])
    assert comparison
    make_name(Counted.COMPARED, *f"{comparison.counted_as}-completed".split("|"))


def test_recipes_that_a_job_could_not_carry_together_are_not_compared() -> None:
    terms = tuple(Layers(kind="layers", layers={f"{'l' * 90}{n}": 1.0 for n in range(500)}) for _ in range(1))
    long = NIGHT.model_copy(update={"objective": terms})
    assert len(long.model_dump_json()) > MAX_COMPARED_CHARACTERS
    assert Canary(candidate=CANDIDATE, percent=100).assign(long, PHOTO_IDS[0]) == (long, None)


@pytest.mark.parametrize("percent", [-1, 101, 10.5, "ten"])
def test_a_share_is_a_whole_percentage(percent: object) -> None:
    with pytest.raises(ValidationError):
        Canary.model_validate({"candidate": CANDIDATE, "percent": percent})
