"""Pictures and clips on their way from the store to browsers: fetched, cached, answered in parts.

Import `Pictures` from `display.media.pictures`; `display.media.routes` serves them.
"""
