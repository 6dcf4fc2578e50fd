NAME = "Zoë"
