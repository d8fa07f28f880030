"""Trained agents, NAME.npz, each with its card, NAME.json. `runs.pretrained` reads them."""
