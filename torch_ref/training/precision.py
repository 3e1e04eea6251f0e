"""How float32 is multiplied on a GPU, said instead of left to defaults.

TF32 rounds the factors of a product to 10 bits of mantissa. By default torch has it off for matrix
products and on for cuDNN's convolutions and recurrent layers, which makes those miss parity.
"""

from typing import Any

import torch


def set_precision(name: str = "fp32") -> dict[str, str]:
    """Set every float32 precision flag of the GPU backends, and say what they are now.

    Args:
        name: 'fp32' (IEEE float32 throughout, for parity) or 'tf32' (fast).

    Returns:
        The flags by name, to print.

    Raises:
        ValueError: if there is no such precision.
    """
    if name not in ("fp32", "tf32"):
        raise ValueError(f"set_precision: expected 'fp32' or 'tf32', got {name!r}")
    for backend in _backends().values():
        backend.fp32_precision = "ieee" if name == "fp32" else "tf32"
    return precision()


def precision() -> dict[str, str]:
    """The float32 precision flags as they are: 'ieee', 'tf32', or 'none' for torch's default."""
    return {f"{name}.fp32_precision": b.fp32_precision for name, b in _backends().items()}


def _backends() -> dict[str, Any]:
    cudnn: Any = torch.backends.cudnn  # puts its submodules in place at import
    return {
        "cuda.matmul": torch.backends.cuda.matmul,
        "cudnn.conv": cudnn.conv,
        "cudnn.rnn": cudnn.rnn,
    }
