"""A child of a pool whose effect, a row in PostgreSQL, happens once: psql finds the database by PGHOST and its kin (pool.env_passed)."""
import json, os, subprocess, sys

SQL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "once.sql")


def pay(execution):
    given = {
        "execution": execution["execution_id"],
        "token": execution["delivery_token"],
        "message": execution["message_id"],
        **json.loads(execution["payload"]),  # account and amount
    }
    words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    psql = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", *words, "--file", SQL]
    return subprocess.run(psql, check=True, capture_output=True, text=True).stdout.strip()


def say(answer):
    print(json.dumps(answer), flush=True)


say({"ready": 1})
for line in sys.stdin:
    execution = json.loads(line)
    answer = {"execution_id": execution["execution_id"]}
    try:
        answer["result"] = pay(execution)
    except subprocess.CalledProcessError as error:
        answer["error"] = error.stderr.strip()
    except Exception as error:
        answer["error"] = repr(error)
    say(answer)
