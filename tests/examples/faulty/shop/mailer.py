"""Letters to customers."""


def send(address: str, text: str) -> None:
    """Send a letter, for real."""
    raise NotImplementedError(f"No server to send {text!r} to {address}")
