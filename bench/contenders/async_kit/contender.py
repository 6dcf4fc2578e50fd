"""The kit needs one more line: the asynchronous driver in the setting url."""
