"""The producer: watches a folder, settles, converts and submits photos.

Never imports the worker, the display or TensorFlow. `convert` makes any picture file one kind of photo, `intake` is the
one door to store and queue, `watch` is what runs beside a folder, `send` is for files named one by one.
"""
