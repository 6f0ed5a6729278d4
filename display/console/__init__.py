"""The console: where the operator sees how the installation does, and steers it."""
