"""A shop with one database and two binds, reached in three ways: plain, scoped and by Flask."""
