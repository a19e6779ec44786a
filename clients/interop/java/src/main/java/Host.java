/*
 * Runs Java clients in a process of their own. Started by ../harness/process-place.mjs.
 * One JSON object a line: requests on stdin, replies and events on stdout. Nothing else is ever written to stdout.
 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.eclipse.jetty.util.ajax.JSON;

public final class Host {
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    private static final Map<String, Driver> DRIVERS = new ConcurrentHashMap<>();
    private static final JSON LINES = new JSON();

    public static void main(String[] arguments) throws Exception {
        ExecutorService calls = Executors.newCachedThreadPool();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Map<?, ?> request = (Map<?, ?>)LINES.fromJSON(line);
            calls.execute(() -> answer(request));
        }
        Runtime.getRuntime().halt(0);
    }

    private static void answer(Map<?, ?> request) {
        Map<String, Object> reply = new HashMap<>();
        reply.put("id", request.get("id"));
        try {
            reply.put("result", call((String)request.get("client"), (String)request.get("call"), (Object[])request.get("args")));
        } catch (Throwable failure) {
            reply.put("error", failure.toString());
        }
        write(reply);
    }

    private static Object call(String client, String call, Object[] args) throws Exception {
        if (call.equals("open")) {
            DRIVERS.put(client, new Driver(event -> write(from(client, event)), (Map<?, ?>)args[0]));
            return null;
        }
        Driver driver = DRIVERS.get(client);
        return switch (call) {
            case "connect" -> driver.connect((Map<?, ?>)args[0]);
            case "transport" -> driver.transport();
            case "subscribe" -> driver.subscribe((String)args[0]);
            case "unsubscribe" -> driver.unsubscribe((String)args[0]);
            case "publish" -> driver.publish((String)args[0], args[1]);
            case "disconnect" -> driver.disconnect();
            default -> throw new IllegalArgumentException("no such call: " + call);
        };
    }

    private static Map<String, Object> from(String client, Map<String, Object> event) {
        event.put("client", client);
        return event;
    }

    private static synchronized void write(Map<String, Object> object) {
        OUT.println(LINES.toJSON(object));
        OUT.flush();
    }
}
