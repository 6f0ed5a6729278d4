"""The command line, one module for each group of commands. A command imports the components that it runs.

The entry point of `artdream` is `artdream.cli.main.main`.
"""
