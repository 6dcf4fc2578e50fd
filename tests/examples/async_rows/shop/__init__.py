"""A shop whose code is asynchronous, reached by plain sessions and by scoped ones."""
