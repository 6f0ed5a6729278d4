"""Paint the project's own artworks, one module each, from noise and geometry.

`python -m tools.house_artworks` paints them into `worker/dreaming/artworks/house/`, which is part of the wheel.
"""
