"""The endpoint: PostgreSQL's protocol in front of the one transaction that holds a test."""
