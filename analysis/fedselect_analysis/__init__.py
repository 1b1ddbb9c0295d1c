"""Reads result files of `fedselect` (docs/result-format.md) and turns them into tables, figures and one HTML page."""
