"""The commands of the example, one file each: ``HELP``, ``add_arguments`` and ``run``."""
