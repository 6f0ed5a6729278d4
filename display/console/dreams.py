"""The dreams, and what may be done to each."""

import streamlit as st

from display.archive import Dream
from display.console.act import act
from display.desk import Desk
from shared.recipe import recipe_names

#: Dreams of one page of the console.
PAGE = 24

_COLUMNS = 4

_ALL = "all"


@st.fragment
def show_dreams(desk: Desk) -> None:
    """Draw the dreams of a standing, newest first, each with its buttons."""
    everything = desk.feed.archive.everything()
    count = {
        standing: sum(dream.standing == standing for dream in everything) for standing in ("held", "shown", "hidden")
    }
    labels = {
        "held": f"to approve ({count['held']})",
        "shown": f"shown ({count['shown']})",
        "hidden": f"hidden ({count['hidden']})",
        _ALL: f"all ({len(everything)})",
    }
    bar = st.columns([4, 2, 1, 1], vertical_alignment="bottom")
    chosen = bar[0].segmented_control(
        "Which", list(labels), default="held" if count["held"] else _ALL, format_func=labels.__getitem__, key="standing"
    )
    found = [dream for dream in everything if chosen in (None, _ALL, dream.standing.value)]
    pages = max(1, -(-len(found) // PAGE))
    page = bar[1].number_input(f"Page of {pages}", 1, pages, key="page")
    bar[2].button("Refresh", width="stretch")
    if chosen == "held" and found and bar[3].button("Approve all", width="stretch"):
        act(lambda: _approve(desk, found), f"{len(found)} dreams are shown.")
    if not found:
        st.caption("None.")
    for start in range(0, min(PAGE, len(found)), _COLUMNS):
        first = (page - 1) * PAGE + start
        for column, dream in zip(st.columns(_COLUMNS), found[first : first + _COLUMNS], strict=False):
            with column.container(border=True):
                _show(desk, dream)


def _approve(desk: Desk, dreams: list[Dream]) -> None:
    for dream in dreams:
        desk.feed.curator.show(dream.job_id)


def _show(desk: Desk, dream: Dream) -> None:
    curator, job_id = desk.feed.curator, dream.job_id
    st.markdown(
        f'<a href="/console/pictures/{job_id}/dream.jpg" target="_blank">'
        f'<img src="/console/pictures/{job_id}/thumb.jpg" alt="The dream {job_id[:8]}" loading="lazy" '
        'style="width:100%;aspect-ratio:4/3;object-fit:contain;background:#000"></a>',
        unsafe_allow_html=True,
    )
    st.caption(f"{dream.title} · {dream.day} · {dream.standing} · `{job_id[:8]}`")
    left, right, more = st.columns(3)
    if dream.standing == "shown":
        if left.button("Hide", key=f"hide-{job_id}", width="stretch"):
            act(lambda: curator.hide(job_id), "The dream is hidden.")
    else:
        name = "Approve" if dream.standing == "held" else "Show"
        if left.button(name, key=f"show-{job_id}", type="primary", width="stretch"):
            act(lambda: curator.show(job_id), "The dream is shown.")
    with right.popover("Delete", width="stretch"):
        st.markdown("Photo, frames, clip and dream go for good.")
        if st.button("Delete for good", key=f"delete-{job_id}", type="primary"):
            act(lambda: curator.delete(job_id), "The dream is deleted.")
    with more.popover("Again", width="stretch"):
        recipe = st.selectbox("Recipe", recipe_names(), key=f"recipe-{job_id}")
        if st.button("Dream again", key=f"again-{job_id}"):
            act(lambda: curator.dream_again(job_id, recipe), "The photo waits for its new dream.")
