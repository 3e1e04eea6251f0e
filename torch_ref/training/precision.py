"""How numbers are multiplied, said instead of left to defaults.

TF32 rounds the factors of a product to 10 bits of mantissa. By default torch has it off for matrix
products and on for cuDNN's convolutions and recurrent layers, which makes those miss parity.
Autocast computes products in bfloat16 (8 bits) or float16 (11 bits, whose small gradients vanish
unless the loss is scaled), while the weights stay float32.

    fp32   IEEE float32, cuDNN deterministic and without trying out algorithms: for parity
    tf32   TF32 in products, cuDNN tries out what is fastest
    bf16   autocast to bfloat16, TF32 in what remains
    fp16   autocast to float16, and a GradScaler
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


def set_precision(name: str = "fp32") -> dict[str, str | bool]:
    """Set every precision and determinism flag of the GPU backends, and say what they are now.

    Args:
        name: 'fp32', 'tf32', 'bf16' or 'fp16'.

    Returns:
        The flags by name, to print.

    Raises:
        ValueError: if there is no such precision.
    """
    if name not in PRECISIONS:
        expected = ", ".join(map(repr, PRECISIONS))
        raise ValueError(f"set_precision: expected one of {expected}, got {name!r}")
    parity = name == "fp32"
    for backend in _backends().values():
        backend.fp32_precision = "ieee" if parity else "tf32"
    # What torch.backends.cudnn's attributes set, which freeze once torch.testing is imported.
    torch._C._set_cudnn_deterministic(parity)
    torch._C._set_cudnn_benchmark(not parity)
    return precision()


def precision() -> dict[str, str | bool]:
    """The flags as they are: 'ieee', 'tf32', or 'none' for torch's default, and cuDNN's."""
    flags = {f"{name}.fp32_precision": b.fp32_precision for name, b in _backends().items()}
    return {
        **flags,
        "cudnn.deterministic": torch.backends.cudnn.deterministic,
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def autocast(name: str, device: torch.device) -> AbstractContextManager[None]:
    """Where a forward is computed at this precision; it can be entered again and again.

    Args:
        name: as for `set_precision`.
        device: where the forward runs.

    Returns:
        torch.autocast for 'bf16' and 'fp16'; a context that does nothing for the others.
    """
    if name in ("bf16", "fp16"):
        dtype = torch.bfloat16 if name == "bf16" else torch.float16
        context: AbstractContextManager[None] = torch.autocast(device.type, dtype)
        return context
    return nullcontext()


def _backends() -> dict[str, Any]:
    cudnn: Any = torch.backends.cudnn  # puts its submodules in place at import
    return {
        "cuda.matmul": torch.backends.cuda.matmul,
        "cudnn.conv": cudnn.conv,
        "cudnn.rnn": cudnn.rnn,
    }
