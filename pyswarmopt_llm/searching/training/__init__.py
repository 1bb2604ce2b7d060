"""Training a LoRA expert on examples."""
