"""The GPU side: takes jobs, dreams them, publishes. Only its pool children import TensorFlow."""
