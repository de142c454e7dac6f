// Leases executions of a queue and acknowledges them, with what Java 17 brings alone: java Pull.java QUEUE
import java.net.URI;
import java.net.http.*;
import java.util.regex.*;

class Pull {
    static final HttpClient CLIENT = HttpClient.newHttpClient();
    static final String SERVER = System.getenv().getOrDefault("MINUTEHAND_SERVER", "http://127.0.0.1:8080");

    static String call(String queue, String action, String body) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(SERVER + "/v1/queues/" + queue + ":" + action));
        request.header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body));
        String token = System.getenv("MINUTEHAND_TOKEN");
        if (token != null) request.header("Authorization", "Bearer " + token);
        return CLIENT.send(request.build(), HttpResponse.BodyHandlers.ofString()).body();
    }

    /** Java brings no JSON: this finds a field that holds a text without escapes, or a number. */
    static String field(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\"?([^\",}]*)").matcher(json);
        return found.find() ? found.group(1) : "";
    }

    public static void main(String[] words) throws Exception {
        String queue = words[0], ask = "{\"max\":10,\"wait\":\"30s\",\"visibility\":\"60s\"}";
        while (true) {
            String[] leases = call(queue, "lease", ask).split("(?=\\{\"lease_id\":)");
            for (int index = 1; index < leases.length; index++) {
                String lease = leases[index], task = field(lease, "task_id");
                boolean fails = field(lease, "payload").equals("impossible");
                String action = fails ? "nack" : "ack", said = fails ? "error" : "result";
                String item = "{\"lease_id\":\"" + field(lease, "lease_id") + "\",\"" + said + "\":\"" + task + "\"}";
                String status = field(call(queue, action, "{\"items\":[" + item + "]}"), "status");
                System.out.println(action + " " + task + " attempt " + field(lease, "attempt") + " " + status);
            }
        }
    }
}
