"""Promises kept on every input that a machine could think of."""
