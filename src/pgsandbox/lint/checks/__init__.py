"""The rules, in one module for each thing that they look at."""
