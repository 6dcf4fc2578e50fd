"""Takes bookings of rooms."""
