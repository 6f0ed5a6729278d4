"""Paint the project's sample photo from noise alone.

`python -m tools.sample_photo.paint` paints it into `artdream/sample/`, which is part of the wheel.
"""
