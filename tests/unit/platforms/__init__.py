"""Tests of the platforms' files."""
