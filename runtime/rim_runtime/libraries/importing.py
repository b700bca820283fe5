"""Imports that Ctrl-C does not spoil.

Python gives signals to the main thread. Native modules that meet one while they start swallow it ("import numpy
failed"), or are spoiled for the whole process. So the main thread lets another one import, and waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def import_apart(work: Callable[[], Result]) -> Result:
    """Do imports where no signal comes, and return their result or raise their error.

    An interrupt raises KeyboardInterrupt here, and the import ends by itself.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[Result] = []
    errors: list[BaseException] = []

    def do() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 (it is raised below)
            errors.append(error)

    thread = threading.Thread(target=do, name="rim-import")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
