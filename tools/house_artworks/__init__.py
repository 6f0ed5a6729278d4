"""The project's own artworks, each painted by a module of this package from noise and geometry.

`python -m tools.house_artworks` paints them anew into `worker/dreaming/artworks/house/`, which the wheel carries.
"""
