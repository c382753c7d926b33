"""The parts of the Freesound Audio Tagging 2019 example; ``freesound2019.py`` is its front door."""
