"""The project's sample photo, painted from noise and nothing else.

`python -m tools.sample_photo.paint` paints it anew into `artdream/sample/`, which the wheel carries.
"""
