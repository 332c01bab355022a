"""The command line, typed in and as processes."""
