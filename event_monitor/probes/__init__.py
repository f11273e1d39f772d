"""Probes: read what no event reports. Each has its own connection and its own deadline."""
