"""A shop whose engine is made when it is imported."""
