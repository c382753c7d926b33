"""Forms of what rankaudio has for other libraries, each in a module that needs that library.

Nothing here is imported by ``import rankaudio``.
"""

__all__: list[str] = []
