"""The command line, one module for each group of commands. Parts are imported by the command that runs them.

The program `artdream` is `artdream.cli.main.main`.
"""
