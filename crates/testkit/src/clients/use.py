# Reads every module of the client, and calls it as a user would; nothing is sent.
import importlib
import json
import pkgutil
import sys

import client
from client import Client
from client.api.tasks import create_task, create_tasks
from client.models import BulkReport, NewTask, NewTasks, OverlapPolicy, Problem, ProblemKind, TaskHandle

modules = [module.name for module in pkgutil.walk_packages(client.__path__, "client.")]
for module in modules:
    importlib.import_module(module)

# What the generator does not understand it leaves out, with a warning.
with open(sys.argv[1]) as file:
    paths = json.load(file)["paths"]
operations = sum(len(methods) for methods in paths.values())
assert operations == sum(module.startswith("client.api.") and module.count(".") == 3 for module in modules)

task = NewTask.from_dict({"queue": "mail", "delay": "5m", "payload": {"order": 17}})
assert task.to_dict() == {"queue": "mail", "delay": "5m", "payload": {"order": 17}}
assert OverlapPolicy("buffer-one") is OverlapPolicy.BUFFER_ONE

answered = {"namespace": "default", "id": "order-17", "partition": 3, "offset": "2/17", "due_at": "2027-01-31T08:00:00.000Z"}
handle = TaskHandle.from_dict(answered)
assert (handle.id, handle.partition, handle.offset, handle.due_at.year) == ("order-17", 3, "2/17", 2027)

refused = {"type": "urn:minutehand:problem:not-found", "title": "Not found", "status": 404, "detail": "there is no task"}
assert Problem.from_dict(refused).type_ is ProblemKind.URNMINUTEHANDPROBLEMNOT_FOUND

report = BulkReport.from_dict({"accepted": 1, "refused": 1, "refused_lines": [{"line": 2, "problem": refused}]})
assert report.refused_lines[0].problem.status == 404


def calls(at: Client) -> tuple[TaskHandle | Problem | None, object]:
    return create_task.sync("default", client=at, body=task), create_tasks.sync("default", client=at, body=NewTasks([task]))
