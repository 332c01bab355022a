"""`python -m tests.simulation`: many seeds, or one seed and its story."""

import sys

from tests.simulation.run import main

sys.exit(main())
