"""Screens tab: what each screen of the exhibition shows."""

from collections.abc import Mapping

import streamlit as st

from display.console.actions import run_action
from display.console.context import ConsoleContext, console_fragment
from shared.errors import ArtDreamError
from shared.public_url import resolve_public_url
from shared.recipe.painters import painters_by_recipe
from shared.recipe.recipe import list_recipe_names
from shared.screens import (
    DEFAULT_SCREEN,
    MAX_CHOSEN_DREAMS,
    MAX_SCREENS,
    Content,
    Layout,
    Screen,
    parse_screen_name,
)


@console_fragment()
def render_screens(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw the screens that are set up or connected, each with what it shows, and the form that adds one."""
    screens, connected = context.event_hub.screens.by_name, context.event_hub.connected_screens
    address = resolve_public_url(context.settings) or f"http://{context.settings.host}:{context.settings.port}"
    st.markdown(texts["screens_more"].format(url=f"`{address}/?screen=foyer`"))
    st.button(texts["refresh"], key="refresh-screens")
    names = [*screens, *sorted(connected - screens.keys())[: MAX_SCREENS - len(screens)]]
    if not names:
        st.caption(texts["screens_none"])
    for name in names:
        with st.container(border=True):
            _render_screen(context, name, texts, is_connected=name in connected)
    with st.form("new-screen", border=False, clear_on_submit=True):
        name = st.text_input(texts["screen_name"], max_chars=60)
        is_submitted = st.form_submit_button(texts["screen_new"])
    if is_submitted:
        run_action(lambda: _add_screen(context, name, texts), texts["applied"])


def _add_screen(context: ConsoleContext, name: str, texts: Mapping[str, str]) -> None:
    screens = context.event_hub.screens.by_name
    if not parse_screen_name(name):
        raise ArtDreamError(texts["screen_bad_name"].format(name=name))
    if len(screens) >= MAX_SCREENS:
        raise ArtDreamError(texts["screen_too_many"].format(most=MAX_SCREENS))
    context.event_hub.moderation.change_settings(screens={name: DEFAULT_SCREEN, **screens})


def _render_screen(context: ConsoleContext, name: str, texts: Mapping[str, str], *, is_connected: bool) -> None:
    screens, moderation = context.event_hub.screens.by_name, context.event_hub.moderation
    screen = screens.get(name, DEFAULT_SCREEN)
    columns = st.columns([2, 3, 3, 2, 1, 1], vertical_alignment="bottom")
    state = texts["screen_connected" if is_connected else "screen_away"]
    columns[0].markdown(f"[**{name}**](/?screen={name})  \n{state}")
    content = columns[1].selectbox(
        texts["screen_content"],
        list(Content),
        list(Content).index(screen.content),
        format_func=lambda content: texts[f"content_{content}"],
        key=f"content-{name}",
    )
    recipe = screen.recipe
    if content is Content.RECIPE:
        options = [*list_recipe_names(), *painters_by_recipe()]
        index = options.index(recipe) if recipe in options else 0
        recipe = columns[2].selectbox(texts["recipe"], options, index, key=f"recipe-of-{name}")
    elif content is Content.CHOSEN:
        columns[2].caption(texts["screen_dreams"].format(count=len(screen.dreams), most=MAX_CHOSEN_DREAMS))
    layout = columns[3].selectbox(
        texts["screen_layout"],
        list(Layout),
        list(Layout).index(screen.layout),
        format_func=lambda layout: texts[f"layout_{layout}"],
        key=f"layout-{name}",
        disabled=content is Content.MAP,
    )
    changed = Screen(content=content, layout=layout, recipe=recipe, dreams=screen.dreams)
    if columns[4].button(texts["apply"], key=f"apply-{name}", type="primary", disabled=changed == screen):
        run_action(
            lambda: moderation.change_settings(screens={**screens, name: changed}),
            texts["screen_saved"].format(screen=name),
        )
    if name in screens and columns[5].button(texts["screen_forget"], key=f"forget-{name}"):
        others = {other: screen for other, screen in screens.items() if other != name}
        run_action(lambda: moderation.change_settings(screens=others), texts["screen_forgotten"].format(screen=name))
