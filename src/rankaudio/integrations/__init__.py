"""Parts of rankaudio for other libraries. Each module needs the library that it is named after.

``import rankaudio`` imports none of them.
"""

__all__: list[str] = []
