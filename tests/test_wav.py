"""WAV headers: fields that are compared, sizes of pipes and recorders, and parts that occur twice."""

import struct
import sys

import numpy as np
import pytest
import soundfile

from rankaudio.data import AudioInfo, ClipDataset, audio_info, load_audio
from wav_bytes import GUID, SINE, STEPS, STEPS_AS_FLOAT, extensible, fmt, riff, with_size

SAMPLES = SINE.tobytes()
PACKED = (np.arange(-500, 500, dtype="<i4") * 1000 << 8).view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()


@pytest.fixture
def refuse(tmp_path):
    """Check that a file is refused, with its name, by all that read it."""

    def check(content: bytes, message: str) -> None:
        path = tmp_path / "clip.wav"
        path.write_bytes(content)
        for read in (audio_info, load_audio, lambda each: ClipDataset([each])):
            with pytest.raises(ValueError, match=rf"clip\.wav: .*{message}"):
                read(path)

    return check


@pytest.mark.parametrize(
    "fields",
    [
        {"channels": 2, "align": 2},
        {"align": 1},
        {"bits": 24, "align": 2},
        {"bits": 17, "align": 2},
        {"bits": 0},
        {"tag": 3, "width": 4, "bits": 16},
        {"tag": 3, "width": 4, "bits": 24},
        {"tag": 3, "width": 4, "bits": 64},
        {"tag": 3, "width": 8, "bits": 32},
    ],
    ids=str,
)
def test_bits_that_do_not_fit_the_bytes_are_refused(refuse, fields):
    """Such files were decoded as noise at full scale, or with another number of samples."""
    refuse(riff(fmt(**fields), (b"data", SAMPLES)), "its header contradicts itself: .* bits per sample")


@pytest.mark.parametrize("fields", [{"align": 4}, {"bits": 8, "align": 2}, {"bits": 8, "width": 3}], ids=str)
def test_unused_bytes_are_refused(refuse, fields):
    """16 bits in four bytes may be a wrong frame or a wide sample, and in the upper or the lower half."""
    bits = fields.get("bits", 16)
    content = riff(fmt(**{"bits": bits, **fields}), (b"data", SAMPLES))
    refuse(content, f"ambiguous WAV file: wanted {bits // 8} bytes per frame for {bits} bits and 1 channels")


@pytest.mark.parametrize("bits", [17, 20, 24])
@pytest.mark.parametrize("byte_rate", [None, 0])
def test_24_bits_in_four_bytes_use_the_upper_ones(tmp_path, bits, byte_rate):
    path = tmp_path / "container.wav"
    stored = struct.pack("<4i", 0, 1 << 30, -(1 << 31), 0x7FFFFF00)
    path.write_bytes(riff(fmt(width=4, bits=bits, byte_rate=byte_rate), (b"data", stored)))
    assert load_audio(path, sample_rate=None).tolist() == [0.0, 0.5, -1.0, 1 - 2.0**-23]


def test_24_bits_in_four_bytes_with_the_byte_rate_of_three_are_refused(refuse):
    content = riff(fmt(width=4, bits=24, byte_rate=24000), (b"data", PACKED))
    refuse(content, "ambiguous WAV file: wanted 3 bytes per frame for 24 bits")


@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [("PCM_U8", 0), ("PCM_16", 0), ("PCM_24", 0), ("PCM_32", 2.0**-24), ("FLOAT", 0), ("DOUBLE", 2.0**-24)],
)
def test_samples_of_all_types_are_read_without_soundfile(tmp_path, monkeypatch, subtype, tolerance):
    path = tmp_path / "own.wav"
    noise = np.random.default_rng(3).uniform(-1, 1, 99)
    soundfile.write(path, noise, 8000, subtype=subtype)
    expected = soundfile.read(path, dtype="float32")[0]
    monkeypatch.setitem(sys.modules, "soundfile", None)
    np.testing.assert_allclose(load_audio(path, sample_rate=None).numpy(), expected, rtol=0, atol=tolerance)


def test_an_extensible_header_may_be_longer(tmp_path, monkeypatch):
    path = tmp_path / "longer.wav"
    name, body = extensible(valid=16)
    path.write_bytes(riff((name, body + b"more"), (b"data", STEPS)))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert load_audio(path, sample_rate=None).tolist() == STEPS_AS_FLOAT


def test_24_bits_in_three_bytes_equal_soundfile(tmp_path):
    path = tmp_path / "packed.wav"
    path.write_bytes(riff(fmt(width=3), (b"data", PACKED)))
    expected, _ = soundfile.read(path)
    assert expected.max() > 0.05
    assert np.array_equal(load_audio(path, sample_rate=None).numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("byte_rate", [0, 1, 2**32 - 1])
def test_a_wrong_byte_rate_does_no_harm_to_a_clear_header(tmp_path, byte_rate):
    path = tmp_path / "rate.wav"
    path.write_bytes(riff(fmt(byte_rate=byte_rate), (b"data", STEPS)))
    assert load_audio(path, sample_rate=None).tolist() == STEPS_AS_FLOAT


@pytest.mark.parametrize("size", [0, 4, 2**32 - 1])
def test_the_size_of_the_riff_chunk_is_not_used(tmp_path, size):
    path = tmp_path / "riff.wav"
    content = riff(fmt(), (b"data", STEPS))
    path.write_bytes(content[:4] + struct.pack("<I", size) + content[8:])
    assert load_audio(path, sample_rate=None).tolist() == STEPS_AS_FLOAT


@pytest.mark.parametrize("valid", [0, 12, 20, 24, 32])
def test_valid_bits_are_the_upper_ones(tmp_path, valid):
    path = tmp_path / "valid.wav"
    stored = struct.pack("<3i", 0, 1 << 30, -(1 << 31))
    path.write_bytes(riff(extensible(width=4, valid=valid), (b"data", stored)))
    assert load_audio(path, sample_rate=None).tolist() == [0.0, 0.5, -1.0]


def test_more_valid_bits_than_bits_are_refused(refuse):
    content = riff(extensible(valid=24), (b"data", SAMPLES))
    refuse(content, "its header contradicts itself: 16 bits per sample with 24 valid")


def test_another_guid_is_not_taken_for_pcm(refuse):
    """Only its first two bytes were looked at."""
    content = riff(extensible(valid=16, guid=GUID[:-1] + b"\0"), (b"data", SAMPLES))
    refuse(content, "one that soundfile refuses")


def test_two_different_fmt_chunks_are_refused(refuse):
    refuse(riff(fmt(), fmt(channels=2), (b"data", SAMPLES)), "it has two fmt chunks that differ")
    refuse(riff(fmt(), (b"data", SAMPLES), fmt(channels=2)), "a second fmt chunk follows")


def test_two_equal_fmt_chunks_are_one(tmp_path):
    path = tmp_path / "twice.wav"
    path.write_bytes(riff(fmt(), fmt(), (b"data", STEPS)))
    assert load_audio(path, sample_rate=None).tolist() == STEPS_AS_FLOAT


@pytest.mark.parametrize("between", [(), ((b"LIST", b"odd"),)], ids=["", "a chunk between"])
def test_a_second_data_chunk_is_refused(refuse, between):
    refuse(riff(fmt(), (b"data", STEPS), *between, (b"data", STEPS)), "a second data chunk follows")


def test_bytes_behind_the_samples_that_are_not_chunks_are_ignored(tmp_path):
    path = tmp_path / "tail.wav"
    for tail in (b"\0" * 100, b"TAG" + b"x" * 125, b"data\xff\xff\xff\xff", b"dat"):
        path.write_bytes(riff(fmt(), (b"data", STEPS)) + tail)
        assert load_audio(path, sample_rate=None).tolist() == STEPS_AS_FLOAT


def test_half_precision_is_called_by_its_name(refuse):
    content = riff(fmt(tag=3), (b"data", SAMPLES))
    refuse(content, r"got 16 bits \(half precision\), which cannot be read. Try: save the file as 32-bit")


def test_endless_chunks_are_refused(refuse):
    refuse(riff(*[(b"LIST", b"")] * 10_001, fmt(), (b"data", STEPS)), "it has 10,000 chunks and no samples")


SIZES = [0, 0x7FFFFFFF, 0x7FFFF000, 0x7FFFFFDB, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0xFFFFF000]


@pytest.mark.parametrize("size", SIZES, ids=hex)
def test_sizes_that_recorders_and_pipes_leave_mean_the_rest_of_the_file(tmp_path, size):
    path = with_size(tmp_path / "piped.wav", size)
    expected = (SINE / 32768).astype(np.float32)
    if size:  # soundfile takes 0 for an empty file
        assert np.array_equal(soundfile.read(path, dtype="float32")[0], expected)
    assert audio_info(path) == AudioInfo(1000, 8000, 1)
    assert np.array_equal(load_audio(path, sample_rate=None).numpy(), expected)


@pytest.mark.parametrize("size", [2001, 2002, 4000, 2**30, 0x7FFFEFFF, 0x80000001, 0xFFFFEFFF])
def test_any_other_size_is_a_promise(tmp_path, size):
    path = with_size(tmp_path / "cut.wav", size)
    if size == 2001:  # half a sample more is no sample less
        assert audio_info(path).frames == 1000
        return
    for read in (audio_info, load_audio):
        with pytest.raises(
            ValueError, match=rf"cut\.wav: truncated: wanted {size // 2} samples .*, got 1000"
        ):
            read(path)


@pytest.mark.parametrize("after", [b"", b"LIST\4\0\0\0abcd"], ids=["", "a chunk"])
def test_a_size_of_0_is_an_empty_file_if_no_samples_follow(tmp_path, after):
    path = with_size(tmp_path / "empty.wav", 0, b"", after)
    with pytest.raises(ValueError, match=r"empty\.wav: wanted at least 1 sample, got 0"):
        load_audio(path)


def rf64(word: bytes, declared: int, size: int = 0xFFFFFFFF, header=None) -> bytes:
    ds64 = b"ds64", struct.pack("<3QI", 0, declared, 0, 0)
    chunks = riff(ds64, header or fmt(), (b"data", b""))[8:-4]
    return word + b"\xff\xff\xff\xff" + chunks + struct.pack("<I", size) + SAMPLES


@pytest.mark.parametrize("word", [b"RF64", b"BW64"])
@pytest.mark.parametrize("declared", [2000, 0, 2**64 - 1], ids=["known", "0", "unknown"])
def test_64_bit_sizes_are_read(tmp_path, word, declared):
    """soundfile reads RF64 but not BW64, which differs in the first word only."""
    path = tmp_path / "large.wav"
    path.write_bytes(rf64(word, declared))
    assert audio_info(path) == AudioInfo(1000, 8000, 1)
    assert np.array_equal(load_audio(path, sample_rate=None).numpy(), (SINE / 32768).astype(np.float32))
    if word == b"RF64" and declared == 2000:
        assert soundfile.info(path).frames == 1000


def test_64_bit_sizes_are_promises_and_their_headers_are_compared(tmp_path, refuse):
    refuse(rf64(b"RF64", 2**40), f"truncated: wanted {2**39} samples .*, got 1000")
    refuse(rf64(b"RF64", 2000, header=fmt(channels=2, align=2)), "its header contradicts itself")
    path = tmp_path / "part.wav"
    path.write_bytes(rf64(b"RF64", 2**40, size=1000))  # the size in the data chunk itself is the true one
    assert audio_info(path).frames == 500


def test_many_channels_are_averaged(tmp_path):
    path = tmp_path / "array.wav"
    noise = np.random.default_rng(2).uniform(-1, 1, (50, 64))
    soundfile.write(path, noise, 8000, subtype="FLOAT")
    expected = noise.astype(np.float32).mean(1, dtype=np.float64)
    np.testing.assert_allclose(load_audio(path, sample_rate=None), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_blocks_join_to_the_whole_file(tmp_path, monkeypatch, channels):
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(3).uniform(-1, 1, (1000, channels)), 8000, subtype="PCM_24")
    whole = load_audio(path)
    monkeypatch.setattr("rankaudio.data._wav._BLOCK", 100)
    assert np.array_equal(load_audio(path).numpy(), whole.numpy())


def test_nan_is_named_with_its_place_in_the_file(tmp_path, monkeypatch):
    path = tmp_path / "nan.wav"
    samples = np.zeros(1000, np.float32)
    samples[777] = np.nan
    soundfile.write(path, samples, 44100, subtype="FLOAT")
    monkeypatch.setattr("rankaudio.data._wav._BLOCK", 100)
    message = r"nan\.wav: wanted finite float32 samples, got nan at sample 777"
    with pytest.raises(ValueError, match=message):
        load_audio(path)
    with pytest.raises(ValueError, match=message):
        load_audio(path, start=500 / 44100)
    assert load_audio(path, seconds=700 / 44100).shape == (700,)
