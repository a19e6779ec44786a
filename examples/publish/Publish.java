// Publishes one message:  java Publish.java CHANNEL JSON
// BAYEUX_URL names the broker's endpoint; BAYEUX_KEY is an API key, for brokers that want one.

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

public class Publish {
    static void publish(String channel, String json) throws IOException, InterruptedException {
        String url = System.getenv().getOrDefault("BAYEUX_URL", "http://127.0.0.1:8080/bayeux");
        String name = channel.replace("\\", "\\\\").replace("\"", "\\\"");
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url))
            .version(HttpClient.Version.HTTP_1_1)
            .timeout(Duration.ofSeconds(10))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{\"channel\": \"" + name + "\", \"data\": " + json + "}"));
        String key = System.getenv("BAYEUX_KEY");
        if (key != null) {
            request.header("Authorization", "Bearer " + key);
        }
        HttpResponse<String> answer =
            HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString());
        // The only text of ours in a reply is the channel, and quotes in it are escaped: this cannot be part of it.
        if (!answer.body().contains("\"successful\":true")) {
            throw new IOException("refused: " + answer.body() + " (HTTP status " + answer.statusCode() + ")");
        }
    }

    public static void main(String[] args) {
        if (args.length != 2) {
            System.err.println("usage: java Publish.java CHANNEL JSON");
            System.exit(2);
        }
        try {
            publish(args[0], args[1]);
        } catch (IOException | InterruptedException | IllegalArgumentException e) {
            System.err.println("publish: " + (e.getMessage() == null ? e : e.getMessage()));
            System.exit(1);
        }
    }
}
