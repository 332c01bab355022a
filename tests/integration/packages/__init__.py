"""The real packages under fire: races, crashes and their own statements."""
