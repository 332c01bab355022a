"""Tests, read as promises; `tests/postgres.py` brings the database."""
