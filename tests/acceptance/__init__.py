"""The whole product as processes: workers, beat, Redis, PostgreSQL, the sandbox."""
