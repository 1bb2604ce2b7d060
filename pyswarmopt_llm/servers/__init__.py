"""Models that a server runs: vLLM or llama.cpp. A search attaches to what the user started."""
