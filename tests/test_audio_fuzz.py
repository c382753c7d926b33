"""Any header: the outcome is samples or a ValueError that names the file, soon and within 500 MB.

``FUZZ_EXAMPLES`` sets the number of examples.
"""

import os
import struct
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rankaudio.data import audio_info, load_audio
from wav_bytes import SINE, extensible, fmt, riff

resource = pytest.importorskip("resource")

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
MOST_SECONDS = 5
MOST_MEMORY = 500 << 20
LIMITS = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

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


def check_outcome(path, content: bytes) -> None:
    path.write_bytes(content)
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    frames = None
    try:
        frames = audio_info(path).frames
        waveform = load_audio(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: "), error  # noqa: PT017
    else:
        assert waveform.dtype == torch.float32
        assert waveform.isfinite().all()
        assert len(load_audio(path, sample_rate=None)) == frames
    assert time.monotonic() - start < MOST_SECONDS
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert used << 10 < MOST_MEMORY


@LIMITS
@given(files)
def test_any_wav_header(tmp_path, content):
    check_outcome(tmp_path / "fuzz.wav", content)


@LIMITS
@given(st.sampled_from(HEADS), st.lists(st.integers(0, 48 * 8 - 1), min_size=1, max_size=4))
def test_any_flipped_bits(tmp_path, content, bits):
    damaged = bytearray(content)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    check_outcome(tmp_path / "fuzz.wav", bytes(damaged))
