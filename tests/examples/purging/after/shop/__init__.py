"""The same shop, whose tests use a database of their own."""
