"""Whether this process can have used a GPU: by facts, for tests too short for a reading."""

import os
import resource

from tonnage.devices.fork_safety import uses_gpu


def never_used_a_gpu() -> bool:
    """Whether neither this process nor any that it started has had a GPU open.

    False also when that cannot be told: when it has, or ever had, a child process.
    """
    if uses_gpu() or resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss:
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False
