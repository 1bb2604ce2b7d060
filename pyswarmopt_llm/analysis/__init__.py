"""The analyses of Model Swarms (Feng et al. 2024, section 5) on finished runs."""
