"""The training process of a job: reads the job's folder, trains, and tells in it how that goes; knows no database."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import traceback
from pathlib import Path

from stillhouse import settings
from stillhouse.errors import MissingExtra, StillhouseError
from stillhouse.extras import require
from stillhouse.jobs.job_folder import JobFolder

__all__ = ["main", "teach"]


def teach(folder: JobFolder) -> None:
    """Do what a folder's plan says, and tell there how it goes; raises what goes wrong."""
    require("train", "do fine-tuning jobs")
    plan = folder.read_plan()
    if "climb" in plan:
        from stillhouse.jobs.climb import climb

        climb(folder, **plan["climb"])
    else:
        from stillhouse.training.fine_tune import Match, Tuning, fine_tune

        match = plan["tune"].pop("match")
        tuning = Tuning(**plan["tune"], folder=folder.path, match=Match(**match) if match else None)
        fine_tune(tuning, folder.read_rows("train"), folder.read_rows("valid"), folder.tell)
    folder.tell({"done": True})


def main(place: str, parent: int | None = None) -> int:
    """Be the training process of a folder, until it is done or `parent`, a pipe from the worker, ends."""
    folder = JobFolder(Path(place))
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with folder.lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # one that was told to end may still be about to
        folder.mend()
        settings.share_cores()
        try:
            teach(folder)
        except MissingExtra as error:
            folder.tell({"failed": str(error), "code": "training_error"})
        except StillhouseError as error:
            folder.tell({"failed": str(error), "code": "invalid_training_file"})
        except Exception as error:
            traceback.print_exc()
            folder.tell({"failed": _reason(error), "code": "training_error"})
    return 0


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "The training ran out of memory. Choose a smaller batch_size, shorter examples or a smaller base model."
    words = (str(error).strip().splitlines() or [""])[0]
    return f"The training failed: {type(error).__name__}: {words[:300]}"


def _end_with(parent: int) -> None:
    """End at once with the worker, however that ended; what was learnt is in the last checkpoint."""
    while os.read(parent, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.stdin.fileno()))
