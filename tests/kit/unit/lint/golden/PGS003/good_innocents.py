# An ignore of pgsandbox: ignore[...] needs a reason, says this comment, and is none itself.
NAME = "pgsandbox: ignore[PGS301]"
