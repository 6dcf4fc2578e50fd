"""The rules of Claude Headspace, without a database, a web server or a clock.

Everything here is a pure function of its arguments and is covered by ``tests/unit``.
"""
