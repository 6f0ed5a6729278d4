"""What Streamlit runs: the wall at `/`, the operator's console at `/console`.

It lies in this folder because Streamlit takes a folder `pages` beside its script for pages of its own.
"""

from pathlib import Path

import streamlit as st

CONSOLE = Path(__file__).parents[1] / "console" / "page.py"

pages = [st.Page("wall.py", default=True), st.Page(CONSOLE, url_path="console", title="Console")]
st.navigation(pages, position="hidden").run()
