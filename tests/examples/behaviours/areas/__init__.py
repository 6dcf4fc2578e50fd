"""Behaviours by area."""
