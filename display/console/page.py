"""The console's Streamlit page. Without a console session it shows nothing but a link to the login."""

import streamlit as st

from display.console.context import ConsoleContext, end_session, get_context
from display.console.dreams_tab import render_dreams
from display.console.errors_tab import render_errors
from display.console.event_tab import render_event
from display.console.numbers_tab import render_numbers
from display.console.prints_tab import has_printer, render_prints
from display.console.screens_tab import render_screens
from display.console.settings_tab import render_settings
from display.console.status_tab import render_status
from display.i18n import get_console_texts
from display.pages.navigation import MIRROR_PATH
from shared.settings import Settings

#: Streamlit's white text on the accent color has too little contrast.
_ACCENT_TEXT_STYLE = """<style>
button[data-testid^="stBaseButton-primary"], [data-testid="stMultiSelect"] [data-tag] * { color: #0b0a09 }
</style>"""

texts = get_console_texts(st.query_params.get("lang", Settings.read().language))
language_query = f"?lang={texts['language']}"
st.set_page_config(page_title=f"ArtDream – {texts['title']}", layout="wide")


def _render_locked() -> None:
    st.markdown("# ArtDream")
    st.markdown(
        f'{texts["locked"]} <a href="/console{language_query}" target="_self">{texts["let_in"]}</a>.',
        unsafe_allow_html=True,
    )


def _render_console(context: ConsoleContext) -> None:
    st.html(_ACCENT_TEXT_STYLE)
    pages = {"wall": "/", "gallery": "/gallery", "map": "/map", "send": "/send"}
    if context.settings.mirror:
        pages["mirror"] = MIRROR_PATH
    links = [f'<a href="{path}{language_query}" target="_blank">{texts[name]}</a>' for name, path in pages.items()]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.markdown(f"## {texts['title']}", width="content")
        st.markdown(" · ".join(links), width="content", unsafe_allow_html=True)
        if st.button(texts["lock"], type="tertiary"):
            end_session(context)
    tabs = {"now": render_status, "dreams": render_dreams, "screens": render_screens}
    if has_printer(context):
        tabs["prints"] = render_prints
    tabs |= {"faults": render_errors, "numbers": render_numbers, "event": render_event, "steering": render_settings}
    for tab, render in zip(st.tabs([texts[name] for name in tabs]), tabs.values(), strict=True):
        with tab:
            render(context, texts)


# Not st.stop(): after it Streamlit keeps the fragments of the page as it was before. It draws one that a browser still
# asks for into elements that are gone, and the browser's page stays empty.
if context := get_context():
    _render_console(context)
else:
    _render_locked()
