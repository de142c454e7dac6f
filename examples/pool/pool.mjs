// A child of a pool, with what Node 18 brings alone: --set pool.command=node,pool.mjs --set pool.queues=QUEUE
import { createInterface } from "node:readline";

console.log = console.error; // What a library says is no answer.
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

class Impossible extends Error {}

async function run(taskId, payload) {
  if (payload === "impossible") throw new Impossible("it cannot be done");
  return `did ${taskId}`;
}

say({ ready: 1 });
for await (const line of createInterface({ input: process.stdin })) {
  const { execution_id, task_id, payload } = JSON.parse(line);
  try {
    say({ execution_id, result: await run(task_id, payload) });
  } catch (error) {
    say({ execution_id, error: error.message, retry: !(error instanceof Impossible) });
  }
}
