"""Pickled: the sample project as an app that reads and writes nothing but pickle."""

from __future__ import annotations

import os

from .proj import build

app = build(os.environ)
app.conf.update(task_serializer="pickle", result_serializer="pickle", accept_content=["pickle"])
