"""Actions of the console's buttons: run, report the result, redraw."""

from collections.abc import Callable

import streamlit as st

from display.console.context import require_session
from shared.errors import ArtDreamError


def run_action(action: Callable[[], object], success_text: str) -> None:
    """Run an action and report it in a toast: `success_text`, then rerun the fragment; or the ArtDreamError's text.

    Nothing is run if the console session has ended.
    """
    require_session()
    try:
        action()
    except ArtDreamError as error:
        st.toast(str(error), icon="⚠️", duration="infinite")
    else:
        st.toast(success_text)
        st.rerun(scope="fragment")
