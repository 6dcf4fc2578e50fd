"""The production settings: nothing answers there, and no test may ever get there."""

import os

DRIVER = os.environ.get("SHOP_DRIVER", "psycopg2")


def main_url() -> str:
    """The shop's own database."""
    return f"postgresql+{DRIVER}://shop:secret@127.0.0.1:9/shop"


def reports_url() -> str:
    """The database of the reports."""
    return f"postgresql+{DRIVER}://shop:secret@127.0.0.1:9/shop_reports"


def audit_url() -> str:
    """The database of the audit trail."""
    return f"postgresql+{DRIVER}://shop:secret@127.0.0.1:9/shop_audit"
