"""Pure rules: no sockets, no files."""
