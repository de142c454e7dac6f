"""A child of a pool, with the standard library alone: --set pool.command=python3,pool.py --set pool.queues=QUEUE"""
import json, sys

answers, sys.stdout = sys.stdout, sys.stderr  # What print() says is no answer.


def run(task_id, payload):
    if payload == "impossible":
        raise ValueError("it cannot be done")
    return f"did {task_id}"


def say(answer):
    print(json.dumps(answer), file=answers, flush=True)


say({"ready": 1})
for line in sys.stdin:
    execution = json.loads(line)
    answer = {"execution_id": execution["execution_id"]}
    try:
        answer["result"] = run(execution["task_id"], execution.get("payload"))
    except ValueError as error:  # It would fail again.
        answer |= {"error": str(error), "retry": False}
    except Exception as error:
        answer["error"] = repr(error)
    say(answer)
