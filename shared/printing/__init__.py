"""Prints: the sheets that guests, the operator or the installation itself ask for, and the printer's state.

Import `Print` and `PrintState` from `shared.printing.prints`, `PrintTable` from `shared.printing.table`.
"""
