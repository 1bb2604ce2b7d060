"""LoRA adapters: reading, writing, checking that they fit together."""
