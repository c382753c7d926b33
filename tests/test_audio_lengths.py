"""Compressed files without a length, with a wrong length, and with one that is too large."""

import io
import os
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from rankaudio.data import AudioInfo, ClipDataset, audio_info, load_audio
from rankaudio.data._mp3 import Mp3
from rankaudio.data._soundfile import _Replaced

pytestmark = pytest.mark.slow

NOISE = np.random.default_rng(0)
# Two seconds of silence, then noise: libsndfile estimates the length from the small frames at the start.
UNEVEN = np.concatenate([np.zeros(88200), NOISE.uniform(-0.8, 0.8, 132300)])


def mp3(sound, sample_rate=44100, mode="VARIABLE") -> bytes:
    file = io.BytesIO()
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    with soundfile.SoundFile(
        file, "w", sample_rate, channels, format="MP3", bitrate_mode=mode, compression_level=0.5
    ) as writer:
        writer.write(sound)
    return file.getvalue()


def without_length(content: bytes) -> bytes:
    """Remove the information frame: from the first header to the next one."""
    assert content.find(b"Xing", 0, 100) >= 0 or content.find(b"Info", 0, 100) >= 0
    common = content[:2]
    start = content.index(common, 40)
    return content[start:]


def is_part_of(part, whole) -> bool:
    """Tell whether the part is somewhere in the whole, within the rounding of a decoder."""
    start = part[:100]
    places = [i for i in range(len(whole) - len(part)) if np.abs(whole[i : i + 100] - start).max() < 1e-5]
    return any(np.abs(whole[i : i + len(part)] - part).max() < 1e-5 for i in places)


@pytest.mark.parametrize("mode", ["VARIABLE", "AVERAGE", "CONSTANT"])
@pytest.mark.parametrize(("rate", "per_frame"), [(44100, 1152), (48000, 1152), (22050, 576), (8000, 576)])
@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_without_information_frame_is_read_to_its_end(tmp_path, mode, rate, per_frame, channels):
    """A constant rate was refused as truncated, a variable one was cut without a word."""
    sound = UNEVEN if channels == 1 else np.stack([UNEVEN, UNEVEN], 1)
    whole, path = tmp_path / "whole.mp3", tmp_path / "piped.mp3"
    content = mp3(sound, rate, mode)
    whole.write_bytes(content)
    path.write_bytes(without_length(content))
    info = audio_info(path)
    assert info[1:] == (rate, channels)
    assert info.frames % per_frame == 0
    assert len(UNEVEN) <= info.frames <= len(UNEVEN) + 4 * per_frame
    waveform = load_audio(path, sample_rate=None).numpy()
    assert len(waveform) == info.frames
    assert np.array_equal(load_audio(path.read_bytes(), sample_rate=None).numpy(), waveform)
    reference = load_audio(whole, sample_rate=None).numpy()
    assert len(reference) == len(UNEVEN)
    assert is_part_of(reference[100_000:], waveform[90_000:])
    assert ClipDataset([path], sample_rate=rate).lengths.tolist() == [info.frames]


@pytest.mark.parametrize("before", [b"", b"ID3\4\0\0\0\0\1\2" + b"x" * 130], ids=["", "ID3v2"])
@pytest.mark.parametrize("after", [b"", b"TAG" + b"y" * 125, b"\0" * 999], ids=["", "ID3v1", "zeros"])
def test_tags_around_mp3_frames_are_no_frames(tmp_path, before, after):
    content = without_length(mp3(UNEVEN))
    (tmp_path / "plain.mp3").write_bytes(content)
    (tmp_path / "tagged.mp3").write_bytes(before + content + after)
    plain = load_audio(tmp_path / "plain.mp3")
    assert np.array_equal(load_audio(tmp_path / "tagged.mp3").numpy(), plain.numpy())


def test_the_last_frame_of_a_stream_may_be_incomplete(tmp_path):
    content = without_length(mp3(UNEVEN))
    (tmp_path / "whole.mp3").write_bytes(content)
    (tmp_path / "cut.mp3").write_bytes(content[:-1])
    whole = audio_info(tmp_path / "whole.mp3").frames
    assert audio_info(tmp_path / "cut.mp3").frames == whole - 1152
    assert len(load_audio(tmp_path / "cut.mp3")) == whole - 1152


def test_a_hole_between_mp3_frames_is_refused(tmp_path):
    content = without_length(mp3(UNEVEN))
    half = content.index(content[:2], len(content) // 2)
    path = tmp_path / "hole.mp3"
    path.write_bytes(content[:half] + b"hole" + content[half:])
    for read in (audio_info, load_audio):
        with pytest.raises(ValueError, match=rf"hole\.mp3: broken MP3 file: at byte {half} "):
            read(path)


def test_a_hole_is_found_by_the_last_two_frames_behind_a_byte_like_their_first(tmp_path):
    frame = b"\xff\xfb\x90\xc0".ljust(144 * 128_000 // 44_100, b"\0")
    path = tmp_path / "hole.mp3"
    path.write_bytes(5 * frame + b"h\xff" + frame)  # one frame may be an accident
    assert audio_info(path).frames == 5 * 1152
    path.write_bytes(5 * frame + b"h\xff" + 2 * frame)
    with pytest.raises(ValueError, match=rf"hole\.mp3: broken MP3 file: at byte {5 * len(frame)} "):
        audio_info(path)


def test_an_information_frame_without_a_number_is_none(tmp_path):
    content = bytearray(mp3(UNEVEN))
    place = max(content.find(b"Xing", 0, 100), content.find(b"Info", 0, 100))
    content[place + 7] &= 0xFE
    (tmp_path / "flag.mp3").write_bytes(content)
    (tmp_path / "none.mp3").write_bytes(without_length(bytes(content)))
    assert np.array_equal(
        load_audio(tmp_path / "flag.mp3").numpy(), load_audio(tmp_path / "none.mp3").numpy()
    )


@pytest.mark.parametrize("version", ["MPEG 1", "MPEG 2"])
@pytest.mark.parametrize("rate", [0, 0xF0], ids=["free", "forbidden"])
def test_mp3_without_a_bit_rate_is_refused(tmp_path, version, rate):
    content = bytearray(without_length(mp3(UNEVEN)))
    content[1] &= 0xFF if version == "MPEG 1" else 0xF7
    content[2] = content[2] & 0x0F | rate
    path = tmp_path / "free.mp3"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"free\.mp3: .*free format. Try: convert it"):
        audio_info(path)


def test_layer_2_is_counted_by_decoding(tmp_path):
    """Twenty frames of silence of 192 kbit/s at 48 kHz: no bits for any band."""
    frame = b"\xff\xfd\xa4\xc0".ljust(144 * 192_000 // 48_000, b"\0")
    path = tmp_path / "silence.mp2"
    path.write_bytes(20 * frame)
    info = audio_info(path)
    assert info.sample_rate == 48000
    assert 19 * 1152 <= info.frames <= 20 * 1152
    waveform = load_audio(path, sample_rate=None)
    assert waveform.shape == (info.frames,)
    assert not waveform.any()


@given(st.data())
def test_a_file_with_another_start_is_read_like_its_bytes(data):
    """soundfile seeks from all three places."""
    content, head = data.draw(st.binary(max_size=9)), data.draw(st.binary(max_size=5))
    start = data.draw(st.integers(0, len(content)))
    whole = io.BytesIO(head + content[start:])
    ours = _Replaced(io.BytesIO(content), Mp3(head, start, None))
    size = len(whole.getvalue())
    for whence in data.draw(st.lists(st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]), max_size=4)):
        origin = (0, whole.tell(), size)[whence]
        place = data.draw(st.integers(0, size))
        assert ours.seek(place - origin, whence) == whole.seek(place)
        length = data.draw(st.integers(0, 9))
        assert ours.read(length) == whole.read(length)
        assert ours.tell() == whole.tell()


def flac(*, declared=None, seconds=5) -> bytes:
    file = io.BytesIO()
    tone = 0.5 * np.sin(np.arange(44100 * seconds) / 20)
    soundfile.write(file, tone, 44100, format="FLAC")
    content = bytearray(file.getvalue())
    if declared is not None:  # the lower 36 bits of bytes 18 to 25
        settings = int.from_bytes(content[18:26], "big") >> 36 << 36
        content[18:26] = (settings | declared).to_bytes(8, "big")
    return bytes(content)


def test_flac_of_unknown_length_is_read_to_its_end(tmp_path, monkeypatch):
    (tmp_path / "whole.flac").write_bytes(flac())
    path = tmp_path / "piped.flac"
    path.write_bytes(flac(declared=0))
    whole = load_audio(tmp_path / "whole.flac")
    for block in (1 << 20, 10_007):
        monkeypatch.setattr("rankaudio.data._soundfile._BLOCK", block)
        assert audio_info(path) == AudioInfo(220500, 44100, 1)
        assert np.array_equal(load_audio(path).numpy(), whole.numpy())
        assert np.array_equal(load_audio(path, start=3, seconds=1).numpy(), whole[132300:176400].numpy())
    assert ClipDataset([path]).lengths.tolist() == [220500]


def test_flac_that_promises_more_than_it_has_is_refused(tmp_path):
    path = tmp_path / "cut.flac"
    path.write_bytes(flac(declared=300_000))
    with pytest.raises(ValueError, match=r"cut\.flac: .*wanted 300000 samples.*, as its header says, got"):
        load_audio(path)


@pytest.mark.parametrize("declared", [2**31, 2**36 - 1])
def test_lengths_that_do_not_fit_the_bytes_are_refused_from_the_header(tmp_path, declared):
    path = tmp_path / "huge.flac"
    path.write_bytes(flac(declared=declared))
    for read in (audio_info, load_audio, lambda each: ClipDataset([each])):
        with pytest.raises(ValueError, match=rf"huge\.flac: .*promises {declared:,} samples .* do not fit"):
            read(path)


def test_mp3_with_a_huge_number_of_frames_is_refused_from_the_header(tmp_path):
    content = bytearray(mp3(UNEVEN))
    place = max(content.find(b"Xing", 0, 100), content.find(b"Info", 0, 100))
    content[place + 8 : place + 12] = struct.pack(">I", 2**31 - 1)
    path = tmp_path / "huge.mp3"
    path.write_bytes(content)
    for read in (audio_info, load_audio):
        with pytest.raises(ValueError, match=r"huge\.mp3: .*promises [0-9,]* samples .* do not fit"):
            read(path)


@pytest.mark.parametrize("rate", [1, 99, 1_000_001, 2**31 - 1])
def test_sample_rates_of_au_files_have_the_same_limits(tmp_path, rate):
    path = tmp_path / "a.au"
    path.write_bytes(b".snd" + struct.pack(">5I", 24, 8, 3, rate, 1) + b"\0" * 8)
    for read in (audio_info, load_audio):
        with pytest.raises(ValueError, match=rf"a\.au: wanted a sample rate from 100 .*, got {rate:,} Hz"):
            read(path)


@pytest.mark.parametrize("size", [8, 1000, 2**32 - 1])
def test_au_of_any_declared_size_has_what_is_there(tmp_path, size):
    path = tmp_path / "a.au"
    header = b".snd" + struct.pack(">5I", 24, size, 3, 8000, 1)
    path.write_bytes(header + struct.pack(">4h", 0, 16384, -32768, 1))
    assert audio_info(path) == AudioInfo(4, 8000, 1)
    assert load_audio(path, sample_rate=None).tolist() == [0.0, 0.5, -1.0, 2.0**-15]


def test_pairs_of_rates_that_need_a_huge_filter_are_refused(tmp_path):
    """A prime rate near 1 MHz took 1 GB and 20 s for 4,000 samples."""
    path = tmp_path / "prime.wav"
    soundfile.write(path, np.zeros(4000), 999_983)
    for read in (load_audio, lambda each: ClipDataset([each])):
        with pytest.raises(ValueError, match=r"prime\.wav: wanted a sample rate up to 500,000 Hz, or"):
            read(path)
    assert load_audio(path, sample_rate=None).shape == (4000,)
    soundfile.write(path, np.zeros(1_000), 1_000_000)
    assert load_audio(path).shape == (45,)
