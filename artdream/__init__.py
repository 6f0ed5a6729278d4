"""The command line and the one-machine stack. Imports the parts only when a command needs them."""
