"""Standing back behind the billing package where both share a machine."""

import os


def stand_back(niceness: int) -> None:
    """Let other processes go first when all want the processor.

    Children and threads that are started after it inherit it. Harmless to repeat; a
    process that already stands further back stays there.

    Args:
        niceness: 0 (not at all) to 19 (only what nobody else wants);
            https://man7.org/linux/man-pages/man7/sched.7.html
    """
    if not niceness:
        return
    present = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(present, niceness))
