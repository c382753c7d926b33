"""Audio effects of a whole batch at once, on the device, with parameters of its own for each clip.

Every effect takes a waveform ``(B, T)`` and lengths ``(B,)`` (None: every clip is T long) and returns
both. What keeps the length returns the lengths as they came; speed and tempo return new ones. What
lies beyond a clip's length has no influence, and beyond its new length there is silence.
"""

from rankaudio.effects._draw import Range
from rankaudio.effects._drive import gain, overdrive
from rankaudio.effects._modules import Gain, Overdrive, PitchShift, Reverb, Speed, Tempo, ThirdPlaceEffects
from rankaudio.effects._reverb import reverb
from rankaudio.effects._time import pitch_shift, speed, tempo

__all__ = [
    "Gain",
    "Overdrive",
    "PitchShift",
    "Range",
    "Reverb",
    "Speed",
    "Tempo",
    "ThirdPlaceEffects",
    "gain",
    "overdrive",
    "pitch_shift",
    "reverb",
    "speed",
    "tempo",
]
