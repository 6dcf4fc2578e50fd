"""The production settings: nothing answers there, and no test may ever get there."""

import os

DRIVER = os.environ.get("SHOP_DRIVER", "asyncpg")
ADDRESS = os.environ.get("SHOP_ADDRESS", "127.0.0.1:9")


def main_url() -> str:
    """The shop's own database."""
    return f"postgresql+{DRIVER}://shop:secret@{ADDRESS}/shop"
