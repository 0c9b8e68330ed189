"""Whether the harness was ended in order the last time that it was up in a session's folder, or died.

A mark lies in the folder while it is up. To take it away needs no room on a full disk, where no row can be written any
more that would say who ended what; and the folder may have been moved meanwhile.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.errors import HarnessError

MARK = "sitting"


class Sitting:
    """A sitting, as a context. ended_in_order: whether the one before was; so was the first, before which none was.

    An orderly end: all is said and done, ended by a signal or in a line of ours, or no row can be written any more.
    Anything else may be the doing of the candidate whose trial was under way.
    """

    def __init__(self, folder: Path, ledger_failed: Callable[[], bool]) -> None:
        self._ledger_failed = ledger_failed
        self.ended_in_order = self._settled = not (folder / MARK).exists()
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def settled(self) -> None:
        """How the one before ended is on the record: the mark may go with this one."""
        self._settled = True

    def __enter__(self) -> Self:
        try:
            os.close(os.open(MARK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644, dir_fd=self._folder))
        except BaseException:
            os.close(self._folder)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ordered = kind is None or issubclass(kind, KeyboardInterrupt | HarnessError) or self._ledger_failed()
        if ordered and self._settled:
            with suppress(OSError):
                os.unlink(MARK, dir_fd=self._folder)
        os.close(self._folder)
