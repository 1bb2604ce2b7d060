"""LoRA adapters: read, write, check whether they fit together."""
