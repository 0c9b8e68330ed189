"""Zone: what a task folder and a budget say, and preparing and checking its data. The referee's own."""

from harness.task.task import Task as Task  # `_target_: harness.task.Task` is what task.yaml files say
