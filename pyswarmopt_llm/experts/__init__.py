"""LoRA adapters: reading, writing, compatibility."""
