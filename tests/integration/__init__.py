"""Against real PostgreSQL, Redis and HTTP."""
