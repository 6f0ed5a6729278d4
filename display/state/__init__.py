"""The event stream → what is shown. It knows neither Streamlit nor Starlette.

Import the hub that reads the stream from `display.state.event_hub`.
"""
