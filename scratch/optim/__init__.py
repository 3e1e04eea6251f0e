"""torch.optim in NumPy."""
