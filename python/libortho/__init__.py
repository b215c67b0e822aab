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

# At once, though it takes seconds: Transformers must know of libortho's checkpoints before it meets one,
# whichever of the two is imported first. Without Transformers, or with one before 5, the rest works.
try:
    from .hf import LibOrthoConfig, from_pretrained
except (ImportError, RuntimeError) as error:  # its lazy modules turn the one into the other
    _reason = str(error)

    def __getattr__(name: str) -> object:
        if name in ("LibOrthoConfig", "from_pretrained"):
            raise ImportError(f"libortho.{name} needs Transformers 5 or later: {_reason}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

__all__ = ["Artifact", "LayerHandle", "LibOrthoConfig", "LibOrthoError", "OrthoLinear", "Report",
           "Split", "alpha", "disable", "enable", "from_pretrained", "set_alpha", "version"]
