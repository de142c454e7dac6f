// Calls the client as a user would; it is compiled and not run.
import org.openapitools.client.ApiException;
import org.openapitools.client.api.SchedulesApi;
import org.openapitools.client.api.TasksApi;
import org.openapitools.client.model.BulkReport;
import org.openapitools.client.model.Duration;
import org.openapitools.client.model.NewSchedule;
import org.openapitools.client.model.NewTask;
import org.openapitools.client.model.NewTasks;
import org.openapitools.client.model.OverlapPolicy;
import org.openapitools.client.model.TaskHandle;

class Use {
    long calls() throws ApiException {
        NewTask task = new NewTask().queue("mail").delay(new Duration("5m")).payload("hello");
        TaskHandle handle = new TasksApi().createTask("default", task, "key-17");
        BulkReport report = new TasksApi().createTasks("default", new NewTasks().addTasksItem(task));
        NewSchedule schedule = new NewSchedule().cron("@daily").queue("mail").overlap(OverlapPolicy.BUFFER_ONE);
        new SchedulesApi().createSchedule("default", schedule).getNextAt();
        return handle.getDueAt().toEpochSecond() + report.getRefusedLines().get(0).getProblem().getStatus();
    }
}
