"""A shop whose tests fail, each in a way that the report explains."""
