"""File → photo: decode, orient, convert to sRGB and encode, in child processes with limits of time and memory.

Import the pool from `producer.decoding.pool`; `producer.decoding.convert` is what each child runs.
"""
