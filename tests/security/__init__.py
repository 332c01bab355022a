"""The requirements of docs/security.md: here, or where a test names one by its number.

A test that shows one bears the marker `security("S9")`; `test_coverage` fails when a
requirement has no such test.
"""
