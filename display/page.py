"""The pages that Streamlit serves: the wall at `/`, the operator's console at `/console`."""

import streamlit as st

pages = [st.Page("wall.py", default=True), st.Page("console/page.py", url_path="console", title="Console")]
st.navigation(pages, position="hidden").run()
