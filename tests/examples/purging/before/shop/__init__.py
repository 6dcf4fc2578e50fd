"""A shop whose tests use its own session maker."""
