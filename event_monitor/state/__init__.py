"""State: all that is kept under the one lock, and what is copied from it at a shot."""

from __future__ import annotations

from .celerys import copy_of
from .ended import WeighSuccess
from .exposure import Exposure
from .failing_tasks import FailingTasks
from .limit import Limit
from .state import State, TaskConsumer

__all__ = ["Exposure", "FailingTasks", "Limit", "State", "TaskConsumer", "WeighSuccess", "copy_of"]
