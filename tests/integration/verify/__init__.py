"""The checker finds what it claims to find."""
