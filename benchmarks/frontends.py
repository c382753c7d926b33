"""Log-mel and log-STFT, compared with librosa, torchaudio (if it imports) and plain torch.stft.

The error is the largest difference from librosa's spectrogram in float64, over the loudest 60 dB of the bins.
In quieter bins the logarithm magnifies the float32 rounding of every transform.
"""

from __future__ import annotations

import librosa
import numpy as np
import torch

from _table import options, published, seconds, show
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


def rows_for(name: str, frontend, by_librosa, clips: int, length: int, peers) -> list[list[str]]:
    x = 0.1 * torch.randn(clips, length * RATE, generator=torch.Generator().manual_seed(0))
    lengths = torch.full((clips,), x.shape[1])
    runs = {
        "rankaudio": lambda: frontend(x),
        "rankaudio, with lengths": lambda: frontend(x, lengths),
        "plain torch.stft": lambda: plain_torch(frontend)(x),
        "librosa": lambda: by_librosa(x.numpy()),
    }
    if name in peers:
        peer = peers[name]
        runs["torchaudio"] = lambda: peer(x).add(EPS).log()
    exact = by_librosa(x.double().numpy())
    times = {library: seconds(run, repeats=11) for library, run in runs.items()}
    return [
        [
            name,
            f"{clips} x {length} s",
            library,
            f"{1e3 * times[library]:.1f}",
            f"{clips * length / times[library]:,.0f}",
            f"{times[library] / times['rankaudio']:.2f}",
            f"{error(runs[library](), exact):.1e}",
        ]
        for library in runs
    ]


def main() -> None:
    arguments = options(__doc__).parse_args()
    about_torchaudio = "does not import" if torchaudio is None else torchaudio.__version__
    peers, rows = torchaudio_peers(), []
    versions = (f"librosa {librosa.__version__}", f"numpy {np.__version__}", f"torchaudio {about_torchaudio}")
    with published(arguments.out, *versions), torch.no_grad():
        for clips in (20, 1):
            rows += rows_for("log-mel", LogMel(), librosa_mel, clips, 10, peers)
            rows += rows_for("log-STFT", LogSTFT(), librosa_stft, clips, 10, peers)
        columns = ["what", "clips", "by", "ms", "audio s per s", "time / ours", "error"]
        show("Spectrograms on the CPU, float32", columns, rows)


if __name__ == "__main__":
    main()
