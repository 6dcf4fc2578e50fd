"""Reads test files as text and finds what leads them away from the test database.

``check`` looks at files and returns a report; ``RULES`` says what it looks for.

* ``rules``: what each rule is called, why it is one, and what to write instead;
* ``files``: which files are read;
* ``source``: one file: its text, its tree, and where each node stands;
* ``names``: what the names in one file stand for;
* ``ignores``: the comments that switch a rule off;
* ``application_sources``: the application's files, to learn what an imported name stands for;
* ``context``: what a check is given: one file, and what is around it;
* ``checks``: the rules' code, a module for each thing that they look at;
* ``checking``: from files to a report.

Standard library, ``reports`` and ``errors`` only; nothing of the user's is imported or run. A new
rule is an entry in ``rules``, a function in ``checks`` and a golden file among the tests.
"""

from pgsandbox.lint.checking import Project, check
from pgsandbox.lint.rules import BY_CODE, RULES, Rule

__all__ = ["BY_CODE", "RULES", "Project", "Rule", "check"]
