"""Audio effects for a whole batch at once, on the device, with separate parameters for each clip.

Every effect takes a waveform ``(B, T)`` and lengths ``(B,)`` (None: every clip is T long), and returns both.
Effects that keep the length return the same lengths; speed and tempo return new ones. Padding has no
influence on the result, and the padding of the result is zero.
"""

from rankaudio.effects._gain import Gain, gain
from rankaudio.effects._noise import AddNoise, add_noise
from rankaudio.effects._overdrive import Overdrive, overdrive
from rankaudio.effects._parameters import Range
from rankaudio.effects._pitch_shift import PitchShift, pitch_shift
from rankaudio.effects._reverb import Reverb, reverb
from rankaudio.effects._speed import Speed, speed
from rankaudio.effects._tempo import Tempo, tempo
from rankaudio.effects._third_place import ThirdPlaceEffects

__all__ = [
    "AddNoise",
    "Gain",
    "Overdrive",
    "PitchShift",
    "Range",
    "Reverb",
    "Speed",
    "Tempo",
    "ThirdPlaceEffects",
    "add_noise",
    "gain",
    "overdrive",
    "pitch_shift",
    "reverb",
    "speed",
    "tempo",
]
