"""A shop whose settings lead to its development database, and everything that opens it."""
