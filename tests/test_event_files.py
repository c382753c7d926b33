"""Files of events: each line as its program wants it, odd names, and no part of a file after an error."""

import csv
import io

import pytest

from rankaudio.events import Event, write_audacity, write_events, write_raven

EVENTS = [Event(0.5, 2.0, "Bark", 3.0, 2.5), Event(3661.25, 3662.0, "Dog, small", -0.1234567891, -1e-30)]
WRITERS = {
    "csv": write_events,
    "audacity": write_audacity,
    "raven": lambda path, events: write_raven(path, events, f_max=8000),
}


def rows_of(path):
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))


every_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


def test_csv_has_a_row_for_each_event(tmp_path):
    write_events(tmp_path / "e.csv", EVENTS)
    assert (tmp_path / "e.csv").read_text() == (
        "start,end,label,peak,mean\n"
        "0.500000,2.000000,Bark,3,2.5\n"
        '3661.250000,3662.000000,"Dog, small",-0.123456789,-1e-30\n'
    )


def test_csv_of_several_files_begins_with_their_names(tmp_path):
    write_events(tmp_path / "e.csv", {'a "1", b.wav': EVENTS, "silence.wav": [], "c.wav": EVENTS[:1]})
    rows = rows_of(tmp_path / "e.csv")
    assert rows[0] == ["fname", "start", "end", "label", "peak", "mean"]
    assert [row[0] for row in rows[1:]] == ['a "1", b.wav', 'a "1", b.wav', "c.wav"]
    assert [row[3] for row in rows[1:]] == ["Bark", "Dog, small", "Bark"]


def test_audacity_has_start_end_and_class_between_tabs(tmp_path):
    write_audacity(tmp_path / "labels.txt", EVENTS)
    assert (tmp_path / "labels.txt").read_bytes() == (
        b"0.500000\t2.000000\tBark\n3661.250000\t3662.000000\tDog, small\n"
    )


def test_raven_has_its_seven_columns_and_the_class(tmp_path):
    write_raven(tmp_path / "r.txt", EVENTS, f_max=22_050, f_min=100.5)
    lines = [line.split("\t") for line in (tmp_path / "r.txt").read_text().splitlines()]
    assert lines[0][:5] == ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"]
    assert lines[0][5:] == ["Low Freq (Hz)", "High Freq (Hz)", "Annotation", "Score"]
    assert lines[1] == ["1", "Spectrogram 1", "1", "0.500000", "2.000000", "100.5", "22050", "Bark", "3"]
    assert lines[2][0] == "2"
    assert len(lines) == 3


@pytest.mark.parametrize("label", ["a\tb", "a\nb", "a\r", "a\u2028b", ""])
def test_names_that_would_break_a_line_are_refused(tmp_path, label):
    for name in ("audacity", "raven"):
        with pytest.raises(ValueError, match="events: wanted names of classes without tabs and line ends"):
            WRITERS[name](tmp_path / "e.txt", [*EVENTS, Event(0.0, 1.0, label, 0.0, 0.0)])
    assert not list(tmp_path.iterdir())
    write_events(tmp_path / "e.csv", [Event(0.0, 1.0, label, 0.0, 0.0)])
    assert rows_of(tmp_path / "e.csv")[1][2] == label


@every_writer
def test_without_events_there_is_a_header_at_most(tmp_path, write):
    write(tmp_path / "e", [])
    assert len((tmp_path / "e").read_text().splitlines()) == (write is not write_audacity)


@every_writer
def test_wrong_events_are_refused_and_an_old_file_stays(tmp_path, write):
    (tmp_path / "e").write_text("old")
    for wrong in ([(0.0, 1.0, "a", 0.0, 0.0)], EVENTS[0], [Event(0.0, 1.0, 3, 0.0, 0.0)], "events"):
        with pytest.raises(TypeError, match="events: wanted a list of"):
            write(tmp_path / "e", wrong)
    with pytest.raises(ValueError, match="events: end: wanted a finite number >= 2"):
        write(tmp_path / "e", [Event(2.0, 1.0, "a", 0.0, 0.0)])
    with pytest.raises(ValueError, match="events: start: wanted a finite number"):
        write(tmp_path / "e", [Event(float("nan"), 1.0, "a", 0.0, 0.0)])
    with pytest.raises(TypeError, match="events: peak: wanted a number"):
        write(tmp_path / "e", [Event(0.0, 1.0, "a", None, 0.0)])
    assert (tmp_path / "e").read_text() == "old"


def test_wrong_keys_and_frequencies_are_refused(tmp_path):
    with pytest.raises(TypeError, match="events: wanted names of files as keys, got 3"):
        write_events(tmp_path / "e", {3: EVENTS})
    with pytest.raises(ValueError, match="f_max: wanted a finite number >= 100"):
        write_raven(tmp_path / "e", EVENTS, f_max=50, f_min=100)
    with pytest.raises(ValueError, match="f_min: wanted a finite number >= 0"):
        write_raven(tmp_path / "e", EVENTS, f_max=50, f_min=-1)
