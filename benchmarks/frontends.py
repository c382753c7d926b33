"""Log-mel and log-STFT, compared with librosa, torchaudio (if it imports) and plain torch.stft.

The error is the largest difference from librosa's spectrogram in float64, over the loudest 60 dB of the bins.
In quieter bins the logarithm magnifies the float32 rounding of every transform.
"""

from __future__ import annotations

from collections.abc import Callable

import librosa
import numpy as np
import torch

from _table import options, published, show
from _turns import take_turns
from rankaudio import LogMel, LogSTFT

try:
    import torchaudio
except (ImportError, OSError, RuntimeError):  # the last two with a torch that it was not built for
    torchaudio = None

RATE, EPS = 44100, 1e-4
MEL = {"n_fft": 2048, "hop_length": 1024}
STFT = {"n_fft": 256, "hop_length": 128}


def librosa_mel(x: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=x, sr=RATE, **MEL, n_mels=128, fmin=5, power=1, pad_mode="reflect", dtype=x.dtype
    )
    return np.log(mel + EPS)


def librosa_stft(x: np.ndarray) -> np.ndarray:
    return np.log(np.abs(librosa.stft(x, **STFT, pad_mode="reflect")) + EPS)


def plain_torch(frontend: torch.nn.Module):
    """Return a function that computes what torchaudio's transforms do."""

    def run(x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(
            x, frontend.n_fft, frontend.hop_length, window=frontend.window, return_complex=True
        ).abs()
        if hasattr(frontend, "filterbank"):
            spectrum = frontend.filterbank @ spectrum
        return (spectrum + EPS).log()

    return run


def torchaudio_peers() -> dict[str, torch.nn.Module]:
    if torchaudio is None:
        return {}
    transforms = torchaudio.transforms
    mel = transforms.MelSpectrogram(
        RATE, **MEL, n_mels=128, f_min=5.0, power=1.0, norm="slaney", mel_scale="slaney"
    )
    return {"log-mel": mel, "log-STFT": transforms.Spectrogram(**STFT, power=1.0)}


def error(ours: object, exact: np.ndarray) -> float:
    loud = exact > exact.max() - np.log(1000)
    return float(np.abs(np.asarray(ours) - exact)[loud].max())


def with_gradient(run: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> Callable[[], object]:
    """Return a call of the forward and the backward pass."""

    def both() -> None:
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            run(leaf).sum().backward()

    return both


def transforms_alone(frontend: torch.nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """Return a call of the Fourier transforms, clip by clip, of frames that are ready."""
    frames = [clip.unfold(-1, frontend.n_fft, frontend.hop_length).contiguous() for clip in x]
    return lambda: [torch.fft.rfft(some) for some in frames]


def rows_for(name: str, frontend, by_librosa, clips: int, length: float, peers) -> list[list[str]]:
    x = 0.1 * torch.randn(clips, int(length * RATE), generator=torch.Generator().manual_seed(0))
    lengths = torch.full((clips,), x.shape[1])
    plain = plain_torch(frontend)
    runs = {
        "rankaudio": lambda: frontend(x),
        "rankaudio, with lengths": lambda: frontend(x, lengths),
        "plain torch.stft": lambda: plain(x),
        "librosa": lambda: by_librosa(x.numpy()),
        "Fourier transform alone": transforms_alone(frontend, x),
        "rankaudio, with gradient": with_gradient(frontend, x),
        "plain torch.stft, with gradient": with_gradient(plain, x),
    }
    if name in peers:
        peer = peers[name]
        runs["torchaudio"] = lambda: peer(x).add(EPS).log()
    exact = by_librosa(x.double().numpy())
    turns = take_turns(runs, rounds=7)
    base = {library: "rankaudio, with gradient" if "gradient" in library else "rankaudio" for library in runs}
    return [
        [
            name,
            f"{clips} x {length} s",
            library,
            f"{1e3 * turns.median(library):.2f}",
            f"{clips * length / turns.median(library):,.0f}",
            f"{turns.ratio(library, base[library]):.2f}",
            "" if "gradient" in library or "alone" in library else f"{error(runs[library](), exact):.1e}",
        ]
        for library in runs
    ]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    about_torchaudio = "does not import" if torchaudio is None else torchaudio.__version__
    peers, rows = torchaudio_peers(), []
    versions = (f"librosa {librosa.__version__}", f"numpy {np.__version__}", f"torchaudio {about_torchaudio}")
    with published(arguments.out, *versions), torch.no_grad():
        for clips, length in ((20, 10), (1, 600), (1, 12), (1, 3), (1, 1), (1, 0.3)):
            rows += rows_for("log-mel", LogMel(), librosa_mel, clips, length, peers)
            rows += rows_for("log-STFT", LogSTFT(), librosa_stft, clips, length, peers)
        columns = ["what", "clips", "by", "CPU ms", "audio s per s", "time / ours", "error"]
        show("Spectrograms on the CPU, float32", columns, rows)


if __name__ == "__main__":
    main()
