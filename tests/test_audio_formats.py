"""What is read, what is called by its name, and what is no file at all."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from rankaudio.data import AudioInfo, ClipDataset, audio_info, load_audio

TONE = 0.5 * np.sin(np.arange(4000) / 20)
FORMATS = [
    *("AIFF", "AU", "AVR", "CAF", "FLAC", "IRCAM", "MAT5", "MP3", "NIST", "OGG"),
    *("PAF", "PVF", "RF64", "SVX", "VOC", "W64", "WAV", "WAVEX", "WVE", "XI"),
]
READERS = (audio_info, load_audio, lambda path: ClipDataset([path]))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("suffix", ["", "raw", "wav"])
def test_formats_are_read_by_their_content(tmp_path, form, suffix):
    path = tmp_path / f"tone.{suffix}"
    with path.open("wb") as file:
        soundfile.write(file, TONE, 8000, format=form)
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    expected, rate = soundfile.read(copy, dtype="float32")
    assert audio_info(path) == AudioInfo(len(expected), rate, 1)
    # soundfile itself differs in the last bit between two ways to read an MP3 file.
    rounding = 1.2e-7 if form == "MP3" else 0
    np.testing.assert_allclose(load_audio(path, sample_rate=None).numpy(), expected, rtol=0, atol=rounding)


def test_opus_is_read(tmp_path):
    path = tmp_path / "tone.opus"
    soundfile.write(path, TONE, 48000, format="OGG", subtype="OPUS")
    assert np.array_equal(
        load_audio(path, sample_rate=None).numpy(), soundfile.read(path, dtype="float32")[0]
    )


@pytest.mark.parametrize("form", ["AU", "PAF", "IRCAM"])
def test_the_other_byte_order_is_read(tmp_path, form):
    for endian in ("LITTLE", "BIG"):
        path = tmp_path / endian
        soundfile.write(path, TONE, 8000, format=form, subtype="PCM_16", endian=endian)
        assert load_audio(path, sample_rate=None).shape == (4000,)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "M4A or MP4"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", "WebM or Matroska"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "WMA"),
        (b"#!AMR\n", "AMR"),
        (b"MAC \x96\x0f", "Monkey's Audio"),
        (b"wvpk\0\0", "WavPack"),
        (b"MPCKSH", "Musepack"),
        (b"MP+\x07", "Musepack"),
        (b"DSD \x1c\0", "DSF"),
        (b"\x0b\x77\x9a\x50", "AC-3"),
        (b"\xff\xf1\x50\x80", "AAC"),
        (b"\xff\xf9\x50\x80", "AAC"),
        (b"MThd\0\0\0\6", "MIDI"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_formats_that_are_not_read_are_called_by_their_name(tmp_path, content, name):
    path = tmp_path / "clip.xyz"
    path.write_bytes(content + bytes(100))
    for read in READERS:
        with pytest.raises(ValueError, match=rf"clip\.xyz: wanted .*, got {name}.* Try: ffmpeg -i"):
            read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_named_pipe_is_refused_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "x.wav")
    program = (
        "import sys\n"
        "from rankaudio.data import ClipDataset, audio_info, load_audio\n"
        "for read in (audio_info, load_audio, lambda path: ClipDataset([path])):\n"
        "    try:\n"
        "        read(sys.argv[1])\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x.wav")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.count("x.wav: wanted a regular file, got a named pipe") == 3


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no sockets in folders here")
def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the address of a socket must be short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("x.wav")
        for read in READERS:
            with pytest.raises(ValueError, match=r"x\.wav: wanted a regular file, got a socket"):
                read(tmp_path / "x.wav")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_refused(device):
    if not os.path.exists(device):  # noqa: PTH110
        pytest.skip("there is no such device here")
    for read in READERS:
        with pytest.raises(ValueError, match=f"{device}: wanted a regular file, got a device"):
            read(device)


def test_a_link_is_followed_and_a_dangling_one_is_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE, 8000)
    (tmp_path / "good.wav").symlink_to("a.wav")
    (tmp_path / "bad.wav").symlink_to("gone.wav")
    (tmp_path / "round.wav").symlink_to("round.wav")
    assert audio_info(tmp_path / "good.wav").frames == 4000
    for read in (audio_info, load_audio):
        with pytest.raises(FileNotFoundError, match=r"a link to 'gone\.wav'.*bad\.wav"):
            read(tmp_path / "bad.wav")
        with pytest.raises(OSError, match=r"round\.wav"):
            read(tmp_path / "round.wav")
    with pytest.raises(ValueError, match=r"bad\.wav: no such file: a link to 'gone\.wav'"):
        ClipDataset([tmp_path / "bad.wav"])


def test_values_that_resampling_makes_infinite_are_refused(tmp_path):
    path = tmp_path / "loud.wav"
    samples = np.where(np.arange(1000) % 2, 3.4e38, -3.4e38).astype(np.float32)
    soundfile.write(path, samples, 22050, subtype="FLOAT")
    assert load_audio(path, sample_rate=None).isfinite().all()
    with pytest.raises(ValueError, match=r"loud\.wav: wanted finite float32 samples, .* too large at 44100"):
        load_audio(path)
