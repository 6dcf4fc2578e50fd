"""A shop whose tests mock the session; they pass, and cancelling has never worked."""
