"""A shop whose factories are written from its models."""
