"""The command line: ``python -m rankaudio`` and ``rankaudio``. Nothing in the library imports it."""
