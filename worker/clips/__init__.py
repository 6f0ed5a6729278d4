"""Videos of finished dreams: what they show, how they are encoded, and the process that makes them in the background.

Import `ClipMaker` from `worker.clips.generator`.
"""
