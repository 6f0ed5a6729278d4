"""The display: wall, guest pages and console over HTTP. Reads event stream and store; never imports TensorFlow."""
