"""Rows in, tables and verdicts out: pure functions over polars frames. ``analyse.analyse`` is the whole of it."""
