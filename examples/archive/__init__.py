"""Tagging archives of audio on Ray Data: what ``tag_archive.py`` is made of."""
