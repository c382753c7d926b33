from rankaudio.effects._drive import gain, overdrive
from rankaudio.effects._reverb import reverb
from rankaudio.effects._time import pitch_shift, speed, tempo
