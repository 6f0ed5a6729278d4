"""The pages that guests see: wall, gallery, map, share and upload. What the browser runs lies in `display/components`.

Import each page's routes from its module; `streamlit_app` is what Streamlit runs.
"""
