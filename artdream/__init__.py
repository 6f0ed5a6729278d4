"""The command line and the one-machine stack. Components are imported only when a command needs them."""
