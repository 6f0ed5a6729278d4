"""Names of uploads: read as they were made, and nothing else is one."""

import re

from hypothesis import given
from hypothesis import strategies as st

from shared.guest_upload_names import GuestUpload, make_file_name, parse_file_name
from shared.jobs.job import MAX_SEED, Lane, Origin

ids = {
    "guest_id": st.binary(min_size=8, max_size=8).map(bytes.hex),
    "job_id": st.binary(min_size=16, max_size=16).map(bytes.hex),
}
options = {"origin": st.just(Origin.API), "lane": st.sampled_from(Lane), "seed": st.integers(0, MAX_SEED)}
phone = {"origin": st.just(Origin.PHONE), "lane": st.just(Lane.LIVE), "seed": st.just(0)}
uploads = st.builds(GuestUpload, **ids, **phone) | st.builds(GuestUpload, **ids, **options)
extensions = st.sampled_from(["heic", "jpg", "jpeg", "png"])


@given(uploads, extensions)
def test_a_name_says_whose_photo_it_is_and_is_never_given_twice(upload: GuestUpload, extension: str) -> None:
    names = {make_file_name(upload, extension) for _ in range(2)}
    assert len(names) == 2
    assert [parse_file_name(name) for name in names] == [upload] * 2


@given(uploads, extensions, st.integers(0, 63), st.integers(0, 3), st.text(max_size=3))
def test_a_name_that_is_changed_is_none_or_leads_nowhere_else(
    upload: GuestUpload, extension: str, start: int, length: int, text: str
) -> None:
    name = make_file_name(upload, extension)
    for changed in (name[:start] + text + name[start + length :], name + text, text + name):
        if parsed := parse_file_name(changed):
            assert re.fullmatch(
                "[0-9a-f]{16}-[0-9a-f]{32}-[0-9a-f]{8}(-(live|batch)-[0-9]{1,10})?[.][a-z]{3,4}", changed
            )
            assert changed.startswith(f"{parsed.guest_id}-{parsed.job_id}-")
