"""Any header: the outcome is samples or a ValueError that names the file, soon and within 500 MB."""

import struct

import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import bits, flipped, limits, outcome
from rankaudio.data import audio_info, load_audio
from wav_bytes import SINE, extensible, fmt, riff

pytestmark = pytest.mark.slow

LIMITS = limits(150)

sizes = st.one_of(
    st.sampled_from([0, 1, 2, 16, 18, 40, 0x7FFFF000, 0x80000000, 0xFFFFFFFF]), st.integers(0, 2**32 - 1)
)
rates = st.one_of(st.sampled_from([0, 100, 8000, 44100, 1_000_000]), st.integers(0, 2**32 - 1))
small = st.one_of(st.integers(0, 9), st.sampled_from([16, 24, 32, 64]), st.integers(0, 2**16 - 1))
tags = st.sampled_from([0, 1, 2, 3, 6, 7, 0x11, 0x31, 0x55, 0xFFFE])
names = st.sampled_from([b"fmt ", b"data", b"LIST", b"fact", b"ds64", b"id3 ", b"\0\0\0\0", b"bext"])
chunks = st.builds(
    lambda name, size, body: name + struct.pack("<I", len(body) if size is None else size) + body,
    names,
    st.none() | sizes,
    st.binary(max_size=64),
)
formats = st.builds(
    lambda tag, channels, rate, bytes_per_second, align, bits: (
        b"fmt " + struct.pack("<IHHIIHH", 16, tag, channels, rate, bytes_per_second, align, bits)
    ),
    *(tags, small, rates, rates, small, small),
)
datas = st.builds(
    lambda size, body: b"data" + struct.pack("<I", len(body) if size is None else size) + body,
    st.none() | sizes,
    st.binary(max_size=300) | st.just(SINE.tobytes()),
)
files = st.builds(
    lambda word, size, parts: word + struct.pack("<I", size) + b"WAVE" + b"".join(parts),
    st.sampled_from([b"RIFF", b"RIFF", b"RIFF", b"RIFX", b"RF64", b"BW64"]),
    sizes,
    st.one_of(
        st.tuples(formats, datas),
        st.tuples(formats, chunks, datas, chunks),
        st.lists(st.one_of(formats, datas, chunks), max_size=6),
    ),
)
HEADS = [
    riff(fmt(), (b"data", SINE.tobytes())),
    riff(fmt(width=3), (b"data", SINE.tobytes())),
    riff(fmt(tag=3, width=4), (b"data", SINE.tobytes())),
    riff(extensible(width=4, valid=24), (b"data", SINE.tobytes())),
    b".snd" + struct.pack(">5I", 24, 2000, 3, 8000, 1) + SINE.tobytes(),
]


def read_all(path):
    frames = audio_info(path).frames
    waveform = load_audio(path)
    assert waveform.dtype == torch.float32
    assert waveform.isfinite().all()
    assert len(load_audio(path, sample_rate=None)) == frames
    return waveform


@LIMITS
@given(files)
def test_any_wav_header(tmp_path, content):
    path = tmp_path / "fuzz.wav"
    path.write_bytes(content)
    outcome(path, read_all)


@LIMITS
@given(st.sampled_from(HEADS), st.lists(st.integers(0, 48 * 8 - 1), min_size=1, max_size=4))
def test_any_flipped_bits(tmp_path, content, bits):
    path = tmp_path / "fuzz.wav"
    path.write_bytes(flipped(content, bits))
    outcome(path, read_all)


@pytest.fixture(scope="module")
def compressed(tmp_path_factory):
    """A short file of each format that has a decoder of its own."""
    folder, contents = tmp_path_factory.mktemp("compressed"), []
    for form, subtype in [("FLAC", None), ("MP3", None), ("OGG", "VORBIS"), ("AIFF", None), ("CAF", None)]:
        path = folder / form
        soundfile.write(path, SINE, 8000, format=form, subtype=subtype)
        contents.append(path.read_bytes())
    return contents


@LIMITS
@given(st.data(), bits)
def test_any_flipped_bits_of_compressed_files(tmp_path, compressed, data, bits):
    path = tmp_path / "fuzz.bin"
    path.write_bytes(flipped(data.draw(st.sampled_from(compressed)), bits))
    outcome(path, read_all)
