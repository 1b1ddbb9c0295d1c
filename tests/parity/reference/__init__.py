"""Personalised federated learning in plain PyTorch, written from the papers' rules and docs/methods.md alone, to be
compared with the program. Slow and short: a model is a dict of float32 tensors, a mask a dict of bool tensors."""
