"""What every button does: the thing, and one sentence about it."""

from collections.abc import Callable

import streamlit as st

from shared.errors import ArtDreamError


def run_action(action: Callable[[], object], success_text: str) -> None:
    """Do it, say so or say why not, and draw what is around the button anew."""
    try:
        action()
    except ArtDreamError as error:
        st.toast(str(error), icon="⚠️", duration="infinite")
    else:
        st.toast(success_text)
        st.rerun(scope="fragment")
