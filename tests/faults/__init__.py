"""What must survive every crash, pause and lost answer."""
