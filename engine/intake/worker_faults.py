"""What the end of a worker process means to the object that it worked on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import ProcessingFailed
from engine.intake.worker_processes import (
    JobFailed,
    WorkerLost,
    WorkerOutOfMemory,
    WorkersClosed,
    WorkerTimeout,
)
from engine.intake.write import out_of_resources

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def worker_faults(who: str = "") -> Iterator[None]:
    """Turn what `Workers.run` raises into what the object's row says.

    Args:
        who: what is at fault, which comes first; empty if that is said elsewhere.

    Raises:
        ProcessingFailed: if the process hung, died or failed, or the engine stops.
        OutOfResources: if none can be started.
    """
    at_fault = f"{who}: " if who else ""
    try:
        yield
    except WorkerTimeout as error:
        raise ProcessingFailed(f"{at_fault}it took too long and was killed") from error
    except WorkerLost as error:
        raise ProcessingFailed(f"{at_fault}its process died twice") from error
    except WorkersClosed as error:
        raise ProcessingFailed(f"{at_fault}the engine stops") from error
    except WorkerOutOfMemory as error:
        raise ProcessingFailed(
            f"{at_fault}it needed more memory than a process may have"
        ) from error
    except JobFailed as error:
        raise ProcessingFailed(f"{at_fault}internal error ({error})") from error
    except OSError as error:
        raise out_of_resources(error) from error
