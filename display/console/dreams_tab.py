"""The dreams, and what may be done to each."""

from collections.abc import Mapping

import streamlit as st

from display.console.actions import act
from display.console.context import Desk
from display.state.dream_index import Dream
from shared.recipe.painters import painters_by_recipe
from shared.recipe.recipe import list_recipe_names
from shared.storage.sidecar import Visibility

#: Dreams of one page of the console.
PAGE = 24

_COLUMNS = 4

_ALL = "all"


@st.fragment
def show_dreams(desk: Desk, spoken: Mapping[str, str]) -> None:
    """Draw the dreams of a standing, newest first, each with its buttons."""
    everything = desk.feed.archive.everything()
    standings = (Visibility.HELD, Visibility.SHOWN, Visibility.HIDDEN)
    count = {standing.value: sum(dream.standing is standing for dream in everything) for standing in standings}
    labels = {name: spoken[f"which_{name}"].format(count=number) for name, number in count.items()}
    labels |= {_ALL: spoken["which_all"].format(count=len(everything))}
    bar = st.columns([5, 2, 2, 2], vertical_alignment="bottom")
    chosen = bar[0].segmented_control(
        spoken["which"],
        list(labels),
        default="held" if count["held"] else _ALL,
        format_func=labels.__getitem__,
        key="standing",
    )
    found = [dream for dream in everything if chosen in (None, _ALL, dream.standing.value)]
    pages = max(1, -(-len(found) // PAGE))
    page = bar[1].number_input(spoken["page"].format(pages=pages), 1, pages, key="page")
    bar[2].button(spoken["refresh"], width="stretch")
    if chosen == "held" and found and bar[3].button(spoken["approve_all"], width="stretch"):
        act(lambda: _approve(desk, found), spoken["are_shown"].format(count=len(found)))
    if not found:
        st.caption(spoken["none"])
    for start in range(0, min(PAGE, len(found)), _COLUMNS):
        first = (page - 1) * PAGE + start
        for column, dream in zip(st.columns(_COLUMNS), found[first : first + _COLUMNS], strict=False):
            with column.container(border=True):
                _show(desk, dream, spoken)


def _approve(desk: Desk, dreams: list[Dream]) -> None:
    for dream in dreams:
        desk.feed.curator.show(dream.job_id)


def _show(desk: Desk, dream: Dream, spoken: Mapping[str, str]) -> None:
    curator, job_id = desk.feed.curator, dream.job_id
    st.markdown(
        f'<a href="/console/pictures/{job_id}/dream.jpg" target="_blank">'
        f'<img src="/console/pictures/{job_id}/thumb.jpg" alt="{spoken["alt"].format(job=job_id[:8])}" loading="lazy" '
        'style="width:100%;aspect-ratio:4/3;object-fit:contain;background:#000"></a>',
        unsafe_allow_html=True,
    )
    st.caption(f"{dream.title} · {dream.day} · {spoken[f'standing_{dream.standing}']} · {job_id[:8]}")
    with st.container(horizontal=True, gap="small"):
        if dream.standing is Visibility.SHOWN:
            if st.button(spoken["hide"], key=f"hide-{job_id}"):
                act(lambda: curator.hide(job_id), spoken["is_hidden"])
        else:
            name = spoken["approve" if dream.standing is Visibility.HELD else "show"]
            if st.button(name, key=f"show-{job_id}", type="primary"):
                act(lambda: curator.show(job_id), spoken["is_shown"])
        with st.popover(spoken["delete"]):
            st.markdown(spoken["delete_more"])
            if st.button(spoken["delete_sure"], key=f"delete-{job_id}", type="primary"):
                act(lambda: curator.delete(job_id), spoken["is_deleted"])
        with st.popover(spoken["again"]):
            recipe = st.selectbox(
                spoken["recipe"], [*list_recipe_names(), *painters_by_recipe()], key=f"recipe-{job_id}"
            )
            if st.button(spoken["dream_again"], key=f"again-{job_id}"):
                act(lambda: curator.dream_again(job_id, recipe), spoken["waits_again"])
