"""Clips of finished dreams: the animations, their encoding, and a generator that makes them in the background.

Import `ClipGenerator` from `worker.clips.generator`.
"""
