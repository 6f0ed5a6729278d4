"""Provenance: what the file of a dream says about itself, to programs: made with AI, by which recipe and network.

Import `embed` from `shared.provenance.embedding` to write it, `read_statement` to read it.
"""
