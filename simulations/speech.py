"""Spoken digits: loudness and voice differ from speaker to speaker, and are left as they are."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from ..client.data import Data
from .dataset import Dataset
from .download import Source, read

RATE = 8000  # samples a second
FRAME, HOP = 256, 128  # samples: 32 ms every 16 ms
FRAMES, MELS = 64, 32
FLOOR = 1e-8  # power, relative to full scale

FSDD = Source(
    folder="fsdd",
    files=("fsdd.npz",),
    origin="the 3,000 recordings of github.com/Jakobovski/free-spoken-digit-dataset, as the arrays"
    " audio, offsets, digit, speaker, take and speakers",
    size=15427038,
    sha256="48958f5ad45085dd580a6e77fa51b6ff6c8e544387791ad5dc3c8c1378a4ff11",
)


def spoken_digits() -> Dataset:
    """3,000 clips: log-mel spectrograms (1, 32, 64), 10 classes, owner the speaker (6 of them).

    Silence is 0 and full scale about 1, the same for everyone. Clips last up to a second; what
    is longer is cut. Takes 0 to 4 are the official test rows. Free Spoken Digit Dataset,
    Jackson et al. 2018, CC BY-SA 4.0.
    """
    with np.load(io.BytesIO(read(FSDD)), allow_pickle=False) as arrays:
        audio = arrays["audio"].astype(np.float32) / 2**15
        clips = np.split(audio, arrays["offsets"][1:-1])
        digit, speaker, take = (
            arrays[name].astype(np.int64) for name in ("digit", "speaker", "take")
        )
        speakers = tuple(arrays["speakers"].tolist())
    mel = _mel_filters()
    features = np.stack([_log_mel(clip, mel) for clip in clips])
    return Dataset(
        name="spoken_digits",
        data=Data(features=features[:, None], targets=digit),
        classes=10,
        test=take < 5,
        owner=speaker,
        owners=speakers,
        tabular=False,
    )


def _log_mel(clip: NDArray[np.float32], mel: NDArray[np.float64]) -> NDArray[np.float32]:
    """The spectrogram of one clip in [-1, 1], shape (mels, frames), silent after its end."""
    padded = np.zeros((FRAMES - 1) * HOP + FRAME, np.float32)
    padded[: len(clip)] = clip[: len(padded)]
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    window = np.hanning(FRAME + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * window) / window.sum()) ** 2
    level: NDArray[np.float64] = 1 - np.log10(mel @ power.T + FLOOR) / np.log10(FLOOR)
    return level.astype(np.float32)


def _mel_filters() -> NDArray[np.float64]:
    """Triangles of shape (mels, bins), evenly spaced on the mel scale 2595 log10(1 + f/700)."""
    highest = 2595 * np.log10(1 + RATE / 2 / 700)
    centres = 700 * (10 ** (np.linspace(0, highest, MELS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(FRAME, 1 / RATE)
    rising = (bins - centres[:-2, None]) / (centres[1:-1] - centres[:-2])[:, None]
    falling = (centres[2:, None] - bins) / (centres[2:] - centres[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)
