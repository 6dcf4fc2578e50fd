"""Parcels, and all the programs that touch them."""
