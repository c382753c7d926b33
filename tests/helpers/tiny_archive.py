"""A tiny tagger, and an archive of short and long files, for tests of `tag_archive.py`."""

import wave

import torch

from rankaudio import CNN2d, LogMel, Tagger

RATE = 4000
CLASSES = ("Bark", "Meow", "Purr")
WINDOW, HOP = 0.5, 0.2


def write_wav(path, samples, *, seed, rate=RATE):
    """Write noise of 16 bits."""
    generator = torch.Generator().manual_seed(seed)
    loudness = torch.linspace(100, 9000, samples)
    values = (loudness * torch.rand(samples, generator=generator)).short()
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(values.numpy().tobytes())


def tiny_tagger():
    """A tagger with random weights, for a low rate."""
    torch.manual_seed(0)
    frontend = LogMel(sample_rate=RATE, n_fft=256, hop_length=128, n_mels=16, f_min=50)
    return Tagger(frontend, CNN2d(3, base_depth=4, n_blocks=2), classes=CLASSES).eval()


def make_archive(folder, *, short=8, long_seconds=(5.03, 3.0)):
    """Short files in two folders, one at another rate, two long ones, and two that are broken."""
    audio = folder / "audio"
    for k in range(short):
        write_wav(audio / f"{'ab'[k % 2]}" / f"{k}.wav", 700 + 413 * k, seed=k)
    write_wav(audio / "low.wav", 2000, seed=90, rate=2000)
    for k, seconds in enumerate(long_seconds):
        write_wav(audio / f"long{k}.wav", round(seconds * RATE), seed=100 + k)
    (audio / "broken.wav").write_bytes(b"no audio at all")
    write_wav(audio / "cut.wav", 3000, seed=80)
    content = (audio / "cut.wav").read_bytes()
    (audio / "cut.wav").write_bytes(content[:-2000])
    (audio / "notes.txt").write_text("not audio")
    tiny_tagger().save(folder / "model.pt")
    return audio
