"""The pages for guests: wall, gallery, map, share and upload. Their browser code is in `display/components`.

Import each page's routes from its module. Streamlit runs `streamlit_app`.
"""
