"""What a command says on stderr while it works: progress, and files that could not be used."""

from __future__ import annotations

import sys
import time

# Seconds between two lines of progress, on a terminal and elsewhere.
_ON_TERMINAL, _ELSEWHERE = 0.2, 30.0


class Report:
    """Counts files, and names those with a problem at once."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.failed = 0
        self._quiet, self._line = quiet, ""
        self._terminal = sys.stderr.isatty()
        self._begin = self._shown = time.monotonic()

    def progress(self, done: int, total: int) -> None:
        """Show how many files are done: in one line of a terminal, elsewhere in a line every half minute."""
        now = time.monotonic()
        if self._quiet or now - self._shown < (_ON_TERMINAL if self._terminal else _ELSEWHERE):
            return
        self._shown, line = now, f"{done} of {total} files, {now - self._begin:.0f} s"
        if self._terminal:
            sys.stderr.write(f"\r{line:{len(self._line)}}")
            self._line = line
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def note(self, text: str) -> None:
        """Print a line."""
        if not self._quiet:
            self._print(text)

    def problem(self, name: str, error: Exception) -> None:
        """Name a file that could not be used, and why."""
        self.failed += 1
        text = str(error).strip() or type(error).__name__
        self._print(text if name in text else f"{name}: {text}")

    def finish(self, done: int, out: object, *, before: int = 0) -> int:
        """Say what was done, and return the exit status; ``out`` is the file, or None for stdout."""
        earlier = f", {before} were there before" if before else ""
        seconds = time.monotonic() - self._begin
        where = "" if out is None else f"{out}: "
        self.note(f"{where}{_files(done)} in {seconds:.1f} s{earlier}")
        if self.failed:
            self._print(f"{_files(self.failed)} could not be used, as said above")
        return 1 if self.failed else 0

    def _print(self, text: str) -> None:
        if self._line:
            sys.stderr.write(f"\r{'':{len(self._line)}}\r")
            self._line = ""
        print(text, file=sys.stderr, flush=True)  # noqa: T201


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
