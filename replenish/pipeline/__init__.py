"""The steps of the protocol, through ports only."""
