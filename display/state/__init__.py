"""The display's state, built from the event stream. Independent of Streamlit and Starlette.

Import `EventHub`, which reads the stream, from `display.state.event_hub`.
"""
