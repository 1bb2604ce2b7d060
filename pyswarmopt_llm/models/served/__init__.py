"""Models that a server runs: vLLM, SGLang or llama.cpp. A search attaches to what the user
started.
"""
