"""Files of events: CSV, labels of Audacity, and selection tables of Raven."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from rankaudio._checks import check_number, check_ordered, check_path, describe
from rankaudio._files import write_text
from rankaudio.data._csv import FILE_NAME, write_csv
from rankaudio.events._events import Event

__all__ = ["write_audacity", "write_events", "write_raven"]

_RAVEN = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)")
EVENT_COLUMNS = ("start", "end", "label", "peak", "mean")


def write_events(
    path: str | os.PathLike[str], events: Sequence[Event] | Mapping[str, Sequence[Event]]
) -> None:
    """Write events as a CSV file with the columns ``start``, ``end``, ``label``, ``peak`` and ``mean``.

    Times are seconds with six decimals, and scores have nine significant digits. The file is written
    atomically. Without events it has only the header.

    Args:
        path: the file; an existing file is replaced.
        events: events of one recording; or events by the name of their file, and then a column ``fname`` is
            the first one.

    Raises:
        TypeError: if ``events`` are not events, or a name is not a string.
        ValueError: if a time is not finite or an event ends before its start.
        OSError: if the file cannot be written.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_events(
    ...         f"{folder}/events.csv", {"a.wav": [Event(0.5, 2.0, "Bark", 3.0, 2.5)]}
    ...     )
    ...     print(pathlib.Path(folder, "events.csv").read_text())
    fname,start,end,label,peak,mean
    a.wav,0.500000,2.000000,Bark,3,2.5
    """
    if isinstance(events, Mapping):
        rows = [(_check_name(name), *row) for name, given in events.items() for row in event_rows(given)]
        write_csv(check_path("path", path), [(FILE_NAME, *EVENT_COLUMNS), *rows])
    else:
        write_csv(check_path("path", path), [EVENT_COLUMNS, *event_rows(events)])


def write_audacity(path: str | os.PathLike[str], events: Sequence[Event]) -> None:
    r"""Write events as a label track of Audacity: start, end and class, separated by tabs.

    Audacity opens the file with *File, Import, Labels*. Times are seconds with six decimals. The file is
    written atomically. Without events it is empty.

    Args:
        path: the file; an existing file is replaced.
        events: the events of one recording.

    Raises:
        TypeError: if ``events`` are not events.
        ValueError: if the name of a class has a tab or a line end, a time is not finite, or an event ends
            before its start.
        OSError: if the file cannot be written.

    Reference:
        The Audacity manual, "Importing and Exporting Labels".

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_audacity(f"{folder}/labels.txt", [Event(0.5, 2.0, "Bark", 3.0, 2.5)])
    ...     pathlib.Path(folder, "labels.txt").read_text()
    '0.500000\t2.000000\tBark\n'
    """
    rows = [(_seconds(event.start), _seconds(event.end), _plain(event.label)) for event in _check(events)]
    write_text(path, _tab_separated(rows))


def write_raven(
    path: str | os.PathLike[str], events: Sequence[Event], *, f_max: float, f_min: float = 0.0
) -> None:
    r"""Write events as a selection table of Raven, with the class in the column ``Annotation``.

    The columns are Selection, View, Channel, Begin Time (s), End Time (s), Low Freq (Hz), High Freq (Hz),
    Annotation and Score, separated by tabs. Score is the peak. A tagger does not say at which frequencies a
    sound is, so all selections have the same ones. The file is written atomically.

    Args:
        path: the file; an existing file is replaced.
        events: the events of one recording.
        f_max: upper edge of the selections in Hz, such as half the sample rate.
        f_min: lower edge of the selections in Hz.

    Raises:
        TypeError: if ``events`` are not events, or a frequency is not a number.
        ValueError: if the name of a class has a tab or a line end, a time is not finite, an event ends before
            its start, or ``f_max`` is below ``f_min``.
        OSError: if the file cannot be written.

    Reference:
        The user's manual of Raven Pro of the Cornell Lab of Ornithology, on selection tables.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_raven(
    ...         f"{folder}/selections.txt", [Event(0.5, 2.0, "Bark", 3.0, 2.5)], f_max=8000
    ...     )
    ...     print(
    ...         pathlib.Path(folder, "selections.txt")
    ...         .read_text()
    ...         .splitlines()[1]
    ...         .replace("\t", " | ")
    ...     )
    1 | Spectrogram 1 | 1 | 0.500000 | 2.000000 | 0 | 8000 | Bark | 3
    """
    low = check_number("f_min", f_min, 0)
    band = (f"{low:.9g}", f"{check_number('f_max', f_max, low):.9g}")
    rows = [
        (
            *(str(number), "Spectrogram 1", "1", _seconds(event.start), _seconds(event.end)),
            *(*band, _plain(event.label), f"{event.peak:.9g}"),
        )
        for number, event in enumerate(_check(events), 1)
    ]
    write_text(path, _tab_separated([(*_RAVEN, "Annotation", "Score"), *rows]))


def event_rows(events: Sequence[Event]) -> list[tuple[str, ...]]:
    """Return the cells of each event in a CSV file."""
    return [
        (_seconds(event.start), _seconds(event.end), event.label, f"{event.peak:.9g}", f"{event.mean:.9g}")
        for event in _check(events)
    ]


def _check(events: object) -> list[Event]:
    """Return the events, each with a name and with times that fit."""
    checked = []
    for event in check_ordered("events", events, "events"):
        if not isinstance(event, Event) or not isinstance(event.label, str):
            raise TypeError(f"events: wanted a list of Event, got {describe(event)} in it")
        start = check_number("events: start", event.start)
        check_number("events: end", event.end, start)
        for name in ("peak", "mean"):
            if isinstance(getattr(event, name), bool) or not isinstance(getattr(event, name), (int, float)):
                raise TypeError(f"events: {name}: wanted a number, got {describe(getattr(event, name))}")
        checked.append(event)
    return checked


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"events: wanted names of files as keys, got {describe(name)}")
    return name


def _seconds(time: float) -> str:
    return f"{time:.6f}"


def _plain(label: str) -> str:
    """Refuse a name that a line with tabs cannot hold."""
    if "\t" in label or label.splitlines() != [label]:
        raise ValueError(f"events: wanted names of classes without tabs and line ends, got {label!r}")
    return label


def _tab_separated(rows: Iterable[Sequence[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)
