"""Leases executions of a queue and acknowledges them, with the standard library alone: python3 pull.py QUEUE"""
import json, os, sys, urllib.request

SERVER = os.environ.get("MINUTEHAND_SERVER", "http://127.0.0.1:8080")
HEADERS = {"Content-Type": "application/json"}
if token := os.environ.get("MINUTEHAND_TOKEN"):
    HEADERS["Authorization"] = f"Bearer {token}"


def call(queue, action, body):
    url = f"{SERVER}/v1/queues/{queue}:{action}"
    request = urllib.request.Request(url, json.dumps(body).encode(), HEADERS)
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)


def run(task_id, payload):
    if payload == "impossible":
        raise ValueError("it cannot be done")
    return f"did {task_id}"


def pull(queue):
    for lease in call(queue, "lease", {"max": 10, "wait": "30s", "visibility": "60s"})["leases"]:
        item = {"lease_id": lease["lease_id"]}
        try:
            action, item["result"] = "ack", run(lease["task_id"], lease.get("payload"))
        except Exception as error:
            action, item["error"] = "nack", str(error)
        status = call(queue, action, {"items": [item]})["items"][0]["status"]
        print(action, lease["task_id"], "attempt", lease["attempt"], status, flush=True)


while True:
    pull(sys.argv[1])
