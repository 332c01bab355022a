"""What is measured: one script per promise, each a ratio against a limit."""
