"""LibOrtho for PyTorch: linear layers as a dense INT4 Base and a sparse high-precision Ortho.

    model = libortho.enable(model, use_libortho=True, density=0.01)
"""

from __future__ import annotations

from ._handle import Artifact, LayerHandle, Split
from ._library import LibOrthoError
from .linear import OrthoLinear

__all__ = ["Artifact", "LayerHandle", "LibOrthoError", "OrthoLinear", "Split"]
