"""A shop whose migrations have faults."""
