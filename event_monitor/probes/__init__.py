"""Probes: read what events cannot tell. Each has its own connection and its own deadline."""
