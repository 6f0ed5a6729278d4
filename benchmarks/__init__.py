"""Every figure that the project quotes, as a command that prints it and writes JSON."""
