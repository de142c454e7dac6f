// Leases executions of a queue and acknowledges them, with what Node 18 brings alone: node pull.mjs QUEUE
const server = process.env.MINUTEHAND_SERVER ?? "http://127.0.0.1:8080";
const queue = process.argv[2];
const headers = { "Content-Type": "application/json" };
if (process.env.MINUTEHAND_TOKEN) headers.Authorization = `Bearer ${process.env.MINUTEHAND_TOKEN}`;

async function call(action, body) {
  const url = `${server}/v1/queues/${queue}:${action}`;
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function run(taskId, payload) {
  if (payload === "impossible") throw new Error("it cannot be done");
  return `did ${taskId}`;
}

for (;;) {
  const { leases } = await call("lease", { max: 10, wait: "30s", visibility: "60s" });
  for (const { lease_id, task_id, attempt, payload } of leases) {
    let action, item;
    try {
      [action, item] = ["ack", { lease_id, result: await run(task_id, payload) }];
    } catch (error) {
      [action, item] = ["nack", { lease_id, error: error.message }];
    }
    const { items } = await call(action, { items: [item] });
    console.log(`${action} ${task_id} attempt ${attempt} ${items[0].status}`);
  }
}
