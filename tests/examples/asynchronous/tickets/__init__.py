"""Sells tickets; asynchronous throughout."""
