"""Training LoRAs: on examples, and on choices between replies."""
