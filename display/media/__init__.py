"""Pictures and clips from the store, served to browsers: fetching, caching, range requests.

Import `Pictures` from `display.media.pictures`; `display.media.routes` serves them.
"""
