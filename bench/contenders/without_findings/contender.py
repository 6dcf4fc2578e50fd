"""The kit needs nothing but its four lines of configuration."""
