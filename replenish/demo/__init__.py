"""A sample operator on this machine: everything real, nothing left behind.

    operator      200 accounts with cards of every temper, on the sandbox's books
    packages      how each billing package itself writes
    switch        its calls and cash, on the bundled package or on any other
    traffic       calls, faster than life
    fleet         the processes: sandbox, two workers, cutoff worker, beat, Flower
    installation  the servers, and what every process is told
    watch         what the screen shows, read from rows
    show          the order of it all, from an empty folder to the checked end

The demonstration keeps its data under `.replenish/demo`, apart from what you enrol
yourself, and begins anew each time.
"""
