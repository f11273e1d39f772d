"""Receiver: broker in, typed events out."""

from __future__ import annotations

from .receiver import Receiver

__all__ = ["Receiver"]
