"""Celery's side: thin tasks, each mirroring the pipeline module of its name."""
