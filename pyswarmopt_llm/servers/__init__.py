"""Models on a server: vLLM or llama.cpp. A search attaches to the user's running server."""
