"""Modules that can be built again from plain values: their constructor arguments are dataclass fields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from rankaudio._checks import describe

Setting = int | float | str | bool | None


@dataclass(eq=False, repr=False)
class ModuleWithSettings(nn.Module):
    """Base of the frontends and the networks.

    A subclass is a dataclass with ``eq=False, repr=False``. Each field is one argument of the constructor, so
    its name, type and default are written once. ``__post_init__`` checks the fields and builds the layers.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field or a layer. nn.Module fails at a layer in place of a field, in words of its own."""
        if isinstance(value, nn.Module) and "_modules" not in self.__dict__:
            raise TypeError(f"{name}: wanted a plain value, got {describe(value)}")
        super().__setattr__(name, value)

    def __post_init__(self) -> None:
        # The fields are set already. nn.Module allows that, because they are plain values.
        super().__init__()

    def settings(self) -> dict[str, Setting]:
        """Return the keyword arguments that build this Module again: plain values by name.

        >>> (
        ...     LogSTFT(n_fft=512).settings()["n_fft"],
        ...     CNN2d(80, base_depth=16).settings()["base_depth"],
        ... )
        (512, 16)
        """
        return {field.name: getattr(self, field.name) for field in fields(self) if field.init}

    def extra_repr(self) -> str:
        """Show the settings."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
