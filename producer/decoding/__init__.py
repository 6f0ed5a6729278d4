"""File → photo: decode, orient, convert to sRGB and encode, in child processes with limits of time and size.

Import `DecoderPool` from `producer.decoding.pool`; each child process runs `producer.decoding.convert`.
"""
