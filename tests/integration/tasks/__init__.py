"""The thin tasks over real rows; their messages are tried in the acceptance tests."""
