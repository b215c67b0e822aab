"""LibOrtho for PyTorch: linear layers as a dense INT4 Base and a sparse high-precision Ortho.

    model = libortho.enable(model, use_libortho=True, density=0.01)
    with libortho.alpha(model, 0.0):  # INT4 alone
        ...
"""

from __future__ import annotations

from ._handle import Artifact, LayerHandle, Split
from ._library import LibOrthoError, version
from .linear import OrthoLinear
from .model import Report, alpha, disable, enable, set_alpha

__all__ = ["Artifact", "LayerHandle", "LibOrthoError", "OrthoLinear", "Report", "Split", "alpha",
           "disable", "enable", "set_alpha", "version"]
