"""Benchmarks: for every figure that the project quotes, a command that prints it and writes it as JSON."""
