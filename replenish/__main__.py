"""`python -m replenish …` is the command `replenish …`."""

from replenish.cli import main

if __name__ == "__main__":
    main(prog_name="replenish")
