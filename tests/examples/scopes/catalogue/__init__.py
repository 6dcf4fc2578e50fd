"""What a shop sells."""
