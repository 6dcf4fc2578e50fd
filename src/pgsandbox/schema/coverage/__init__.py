"""Schema coverage: what of a schema the tests of a run have touched, and what none has.

* ``inventory``: what there is to touch;
* ``reading``: what a statement reads and writes, as the server itself says;
* ``data``: the coverage as data, which ranks what is missing;
* ``measuring``: both brought together with what was observed;
* ``files``: the data file, and the sum of several;
* ``text``, ``page``: what people see of it.
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
