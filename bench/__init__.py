"""The benchmark: what the kit costs, beside other ways to isolate a test, in one run.

``nox -s bench`` prints the tables, and ``nox -s bench -- --record`` writes them to bench/results
with a description of the machine. ``bench.rows`` says what is measured; ``bench.measuring`` how.
"""
