"""Where to compute, by name."""

import torch


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """A device that is there.

    Args:
        name: 'auto' (CUDA when present, else the CPU), 'cpu', 'cuda', 'cuda:1', or a torch.device.

    Returns:
        The device.

    Raises:
        ValueError: if there is no such name.
        RuntimeError: if CUDA is asked for and this machine or this build of torch has none of it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = str(name).partition(":")
    if kind not in ("cpu", "cuda") or not (index.isdigit() or not index):
        raise ValueError(
            f"resolve_device: expected 'auto', 'cpu', 'cuda' or 'cuda:<index>', got {name!r}"
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(index or 0) >= count:
        reason = (
            f"{count} CUDA device(s)"
            if count
            else f"none (torch {torch.__version__} is built "
            f"{'for CUDA ' + torch.version.cuda if torch.version.cuda else 'without CUDA'}"
            "); use --device cpu or auto"
        )
        raise RuntimeError(
            f"resolve_device: expected a CUDA device for {str(name)!r}, got {reason}"
        )
    return torch.device(name)
