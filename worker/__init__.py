"""The GPU side: takes jobs, dreams them, publishes. The only part that imports TensorFlow, and only in the pool child."""
