"""Where networks learn to tell artists apart: data set, training, evaluation, and the map of what was learned."""
