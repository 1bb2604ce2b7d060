"""Commands about searches and their run directories."""
