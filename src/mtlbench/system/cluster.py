"""One Snakemake at a time submits from a checkout, and it first ends the jobs that a killed one left behind.

The executor plugin adopts no jobs: a Snakemake that was killed (kill -9, a closed terminal, a restarted login node)
leaves its jobs running, and the next one would submit the same runs again, to wait for the first ones' leases
on GPUs of their own. So the next one cancels them: a cancelled run saves, and continues in its new job.
"""

import atexit
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from mtlbench.system.errors import BusyError
from mtlbench.system.lease import lease

#: What the job names of workflow/profiles/slurm begin with (slurm-jobname-prefix).
PREFIX = "mtlbench_"
#: Seconds that cancelled jobs may take to save and end; a site's KillWait is rarely above a minute.
PATIENCE = 300.0

Say = Callable[[str], None]
_held = ExitStack()


def claim_checkout(path: Path, say: Say) -> None:
    """Be the only Snakemake that submits from this folder until this process ends, and cancel lost jobs.

    ``path``: where the lease of the checkout lies.

    Raises BusyError when another live Snakemake submits from here, or when lost jobs do not end.
    """
    _held.enter_context(lease(path, "the jobs of this checkout"))
    atexit.register(_held.close)
    cancel_lost_jobs(say)


def cancel_lost_jobs(say: Say) -> None:
    """Cancel this user's Slurm jobs that were submitted from this folder, and wait until they are gone."""
    if shutil.which("squeue") is None:
        return
    end = time.monotonic() + PATIENCE
    cancelled: set[str] = set()
    while lost := _jobs_of(os.getcwd()):
        if new := lost - cancelled:
            say(f"cancelling {len(new)} jobs that an earlier Snakemake left behind; they save and continue")
            subprocess.run(["scancel", *sorted(new)], check=True)
            cancelled |= new
        if time.monotonic() > end:
            raise BusyError(
                f"jobs {', '.join(sorted(lost))} of an earlier Snakemake were cancelled {PATIENCE:.0f} s ago and still "
                "run (`squeue --me`). Wait until they are gone, or ask the site's administrator."
            )
        time.sleep(1.0)


def _jobs_of(folder: str) -> set[str]:
    """The numbers of this user's waiting and running jobs that this project submitted from ``folder``."""
    done = subprocess.run(
        ["squeue", "--me", "--noheader", "--format=%i|%j|%Z"], check=True, capture_output=True, text=True
    )
    rows = [line.split("|", 2) for line in done.stdout.splitlines()]
    return {
        number
        for number, name, place in rows
        if name.startswith(PREFIX) and os.path.realpath(place) == os.path.realpath(folder)
    }
