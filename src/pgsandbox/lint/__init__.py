"""Reads test files as text and finds what leads them away from the test database.

``check`` looks at files and returns a report; ``RULES`` says what it looks for. Standard library
only; nothing of the user's is imported or run.
"""

from pgsandbox.lint.checking import Project, check
from pgsandbox.lint.rules import BY_CODE, RULES, Rule

__all__ = ["BY_CODE", "RULES", "Project", "Rule", "check"]
