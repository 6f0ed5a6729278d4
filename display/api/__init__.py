"""The HTTP API: programs send photos, and ask about their jobs.

Import `create_api` from `display.api.app`, and only if the setting `api` is on: nothing else of the display loads
FastAPI.
"""
