"""Modules that can be built again from plain values: their constructor arguments are dataclass fields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

from torch import nn

Setting = int | float | str | bool | None


@dataclass(eq=False, repr=False)
class ModuleWithSettings(nn.Module):
    """Base of the frontends and the networks.

    A subclass is a dataclass with ``eq=False, repr=False``. Each field is one argument of the constructor, so
    its name, type and default are written once. ``__post_init__`` checks the fields and builds the layers.
    """

    def __new__(cls, *_args: object, **_settings: object) -> Self:
        """Set up the Module before the dataclass sets its fields, which may be Modules by mistake."""
        module = super().__new__(cls)
        nn.Module.__init__(module)
        return module

    def __post_init__(self) -> None:
        """Check the settings and build the layers."""

    def settings(self) -> dict[str, Setting]:
        """Return the keyword arguments that build this Module again: plain values by name.

        >>> LogSTFT(n_fft=512).settings()["n_fft"], CNN2d(80, base_depth=16).settings()["base_depth"]
        (512, 16)
        """
        return {field.name: getattr(self, field.name) for field in fields(self) if field.init}

    def extra_repr(self) -> str:
        """Show the settings."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
