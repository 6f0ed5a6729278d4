"""Streamlit's entry script: the wall at `/`, the operator's console at `/console`.

It must be inside the folder `pages`: Streamlit turns every module of a folder `pages` next to its script into a page.
"""

from pathlib import Path

import streamlit as st

CONSOLE = Path(__file__).parents[1] / "console" / "page.py"

pages = [st.Page("wall.py", default=True), st.Page(CONSOLE, url_path="console", title="Console")]
st.navigation(pages, position="hidden").run()
