"""Commands about models and adapters."""
