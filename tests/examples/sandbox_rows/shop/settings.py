"""The production settings: no test may ever get there, even where somebody answers."""

import os

DRIVER = os.environ.get("SHOP_DRIVER", "psycopg2")
ADDRESS = os.environ.get("SHOP_ADDRESS", "127.0.0.1:9")


def main_url() -> str:
    """The shop's own database."""
    return f"postgresql+{DRIVER}://shop:secret@{ADDRESS}/shop"


def reports_url() -> str:
    """The database of the reports."""
    return f"postgresql+{DRIVER}://shop:secret@{ADDRESS}/shop_reports"


def audit_url() -> str:
    """The database of the audit trail."""
    return f"postgresql+{DRIVER}://shop:secret@{ADDRESS}/shop_audit"
