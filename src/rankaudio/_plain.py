"""Tensors that a gradient that is written out can be used for."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def is_plain(tensor: Tensor) -> bool:
    """Whether this is an ordinary tensor in eager mode, differentiated at most in backward mode.

    Compilers fuse ordinary operations. Transforms of ``torch.func``, forward mode and subclasses of Tensor
    need operations that they know.

    >>> (
    ...     is_plain(torch.zeros(3)),
    ...     torch.func.vmap(lambda x: torch.tensor(is_plain(x)))(torch.zeros(3))[0],
    ... )
    (True, tensor(False))
    """
    if torch.compiler.is_compiling() or type(tensor) not in (Tensor, nn.Parameter):
        return False
    try:
        tensor.data_ptr()
    except RuntimeError:  # the tensors of vmap and grad have no memory
        return False
    tangent = forward_ad.unpack_dual(tensor).tangent  # type: ignore[no-untyped-call]
    return tangent is None


def needs_gradient(*tensors: Tensor) -> bool:
    """Whether PyTorch records operations on one of these tensors.

    >>> needs_gradient(torch.zeros(1)), needs_gradient(torch.zeros(1, requires_grad=True))
    (False, True)
    """
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def is_quiet(tensor: Tensor) -> bool:
    """Whether nothing records operations on this tensor, so that it can be overwritten.

    >>> is_quiet(torch.zeros(1)), is_quiet(torch.zeros(1, requires_grad=True))
    (True, False)
    """
    return is_plain(tensor) and not needs_gradient(tensor)
