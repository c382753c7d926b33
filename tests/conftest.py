"""Settings shared by all tests."""

from hypothesis import settings

# The first example pays for imports and kernel set-up, so a deadline measures the machine, not the code.
settings.register_profile("rankaudio", deadline=None)
settings.load_profile("rankaudio")
