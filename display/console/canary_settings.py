"""Canary settings: the part of the settings tab in which the operator tries out a new version of a recipe."""

from collections.abc import Mapping

import streamlit as st
from streamlit.components.v2 import component

from display.console.actions import run_action
from display.console.context import ConsoleContext
from display.web.html import read_component
from shared.recipe.recipe import MAX_RECIPE_CHARACTERS
from shared.runtime_settings import RuntimeSettings

#: Percentage at which a canary starts unless the operator chooses another.
_FIRST_PERCENT = 10

_STARTS_KEY = "canary-starts"

_recipe_choice = component(
    "artdream_recipe_choice",
    html=read_component("console/recipe_choice.html"),
    css=read_component("console/file_choice.css"),
    js=read_component("console/recipe_choice.js"),
)


def render_canary(context: ConsoleContext, runtime_settings: RuntimeSettings, texts: Mapping[str, str]) -> None:
    """Draw what the canary does now, its share, and the choice of the next candidate."""
    st.markdown(f"#### {texts['canary']}")
    st.caption(texts["canary_more"])
    running_column, next_column = st.columns(2)
    with running_column:
        _render_running(context, runtime_settings, texts)
    with next_column:
        _render_choice(context, texts)


def _render_running(context: ConsoleContext, runtime_settings: RuntimeSettings, texts: Mapping[str, str]) -> None:
    canary = runtime_settings.canary
    if canary is None:
        st.markdown(texts["canary_none"])
        return
    change_share = context.event_hub.moderation.change_canary_share
    candidate, text = canary.candidate, texts["canary_runs" if canary.percent else "canary_over"]
    st.markdown(text.format(recipe=candidate.name, version=candidate.version, percent=canary.percent))
    with st.form("canary-share", border=False):
        percent = st.number_input(texts["canary_percent"], 0, 100, canary.percent, key=f"canary-percent-{_key(canary)}")
        with st.container(horizontal=True):
            if st.form_submit_button(texts["apply"], type="primary"):
                run_action(lambda: change_share(percent), texts["applied"])
            if canary.percent and st.form_submit_button(texts["canary_end"]):
                run_action(lambda: change_share(0), texts["applied"])


def _key(value: object) -> str:
    """Return a key that changes with a value: Streamlit shows what was in a widget of the same key before."""
    return f"{hash(str(value)):x}"


def _render_choice(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    starts = int(st.session_state.get(_STARTS_KEY, 0))
    data = {name: texts[f"canary_{name}"] for name in ("choose", "failed")} | {"most": MAX_RECIPE_CHARACTERS}
    # Each start gets a new component: the file of the last one is no longer chosen.
    chosen = _recipe_choice(
        key=f"canary-file-{starts}",
        data=data,
        default={"recipe": {"name": "", "text": ""}},
        on_recipe_change=lambda: None,
    ).recipe
    name, text = str(chosen.get("name", "")), str(chosen.get("text", ""))
    if not text:
        # Streamlit now and then leaves on the page what is not drawn again, if another tab is drawn just afterwards.
        for _ in ("file", "percentage", "button"):
            st.empty()
        return
    st.markdown(texts["canary_chosen"].format(file=f"`{name.replace('`', '')}`"))
    key = f"canary-first-percent-{starts}"
    percent = st.number_input(texts["canary_first_percent"], 1, 100, _FIRST_PERCENT, key=key)

    def start() -> None:
        context.event_hub.moderation.start_canary(text, percent)
        st.session_state[_STARTS_KEY] = starts + 1

    if st.button(texts["canary_start"], type="primary", key="canary-start"):
        run_action(start, texts["canary_started"])
