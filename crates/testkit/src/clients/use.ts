// Calls the client as a user would; it is compiled and not run.
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

const client = createClient<paths>({ baseUrl: "http://127.0.0.1:4646" });
const overlap: components["schemas"]["OverlapPolicy"] = "buffer-one";

export async function calls(): Promise<string> {
    const path = { ns: "default" };
    const task: components["schemas"]["NewTask"] = { queue: "mail", delay: "5m", payload: { order: 17 } };
    const created = await client.POST("/v1/namespaces/{ns}/tasks", { params: { path }, body: task });
    if (created.error) {
        const kind: components["schemas"]["ProblemKind"] = created.error.type;
        return `${kind}: ${created.error.field ?? ""} ${created.error.limit ?? ""}`;
    }
    const bulk = await client.POST("/v1/namespaces/{ns}/tasks:bulk", { params: { path }, body: { tasks: [task] } });
    // A list is answered as one, lines as lines.
    const report = bulk.data && "refused_lines" in bulk.data ? bulk.data.refused_lines : [];
    const refused = report.map((refused) => `${refused.line}: ${refused.problem.detail}`);
    await client.POST("/v1/namespaces/{ns}/schedules", { params: { path }, body: { every: "90m", queue: "mail", overlap } });
    return [created.data.id, created.data.due_at, ...refused].join("\n");
}
