"""Reference implementations of other projects' algorithms, to compare with."""
