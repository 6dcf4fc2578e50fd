"""A shop whose factories nobody kept up with its models."""
