"""Schema coverage: what of a schema the tests of a run have touched, and what none has.

`inventory` lists what there is to touch, `reading` has the server itself say what a statement reads
and writes, `measuring` brings both together with what was observed, `data` ranks what is missing,
`files` keeps it and adds up runs, `text` and `page` show it.
"""

from pgsandbox.schema.coverage.data import Coverage
from pgsandbox.schema.coverage.files import as_dicts, combined, from_dicts, read, write
from pgsandbox.schema.coverage.measuring import Observed, measure
from pgsandbox.schema.coverage.page import write_pages
from pgsandbox.schema.coverage.text import table_of

__all__ = [
    "Coverage",
    "Observed",
    "as_dicts",
    "combined",
    "from_dicts",
    "measure",
    "read",
    "table_of",
    "write",
    "write_pages",
]
