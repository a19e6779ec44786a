/*
 * The official CometD Java client behind the driver interface of ../README.md. Created and called by Host.
 * Nothing here repairs, retries or hides what the client does; it only calls the public API.
 */
import jakarta.websocket.ContainerProvider;
import jakarta.websocket.WebSocketContainer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.cometd.bayeux.Channel;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSession;
import org.cometd.bayeux.client.ClientSessionChannel;
import org.cometd.client.BayeuxClient;
import org.cometd.client.http.jetty.JettyHttpClientTransport;
import org.cometd.client.transport.ClientTransport;
import org.cometd.client.transport.TransportListener;
import org.cometd.client.websocket.jakarta.WebSocketTransport;
import org.eclipse.jetty.client.HttpClient;

final class Driver {
    private static final long CONNECT_MS = 10_000;
    private static final int MAX_MESSAGE_BYTES = 1024 * 1024;
    private static final List<String> META_CHANNELS = List.of(
            Channel.META_HANDSHAKE, Channel.META_CONNECT, Channel.META_SUBSCRIBE, Channel.META_UNSUBSCRIBE, Channel.META_DISCONNECT);

    private final BayeuxClient client;
    private final Consumer<Map<String, Object>> emit;
    private final Map<String, ClientSessionChannel.MessageListener> subscriptions = new ConcurrentHashMap<>();
    private final CompletableFuture<Void> held = new CompletableFuture<>();

    Driver(Consumer<Map<String, Object>> emit, Map<?, ?> options) throws Exception {
        this.emit = emit;
        this.client = new BayeuxClient((String)options.get("url"), transport((String)options.get("transport")));
        for (String channel : META_CHANNELS) {
            client.getChannel(channel).addListener((ClientSessionChannel.MessageListener)(ignored, reply) -> emit.accept(meta(reply)));
        }
        client.addExtension(new ClientSession.Extension() {
            @Override
            public boolean rcv(ClientSession session, Message.Mutable message) {
                if (message.containsKey(Message.DATA_FIELD)) {
                    emit.accept(carried("arrival", message));
                }
                return true;
            }
        });
        client.addTransportListener(new TransportListener() {
            @Override
            public void onSending(List<? extends Message> messages) {
                if (messages.stream().anyMatch(Driver::asksToBeHeld)) {
                    held.complete(null);
                }
            }
        });
    }

    /* The client forgets its subscriptions at every re-handshake; its manual says to subscribe in this listener. */
    Object connect(Map<?, ?> options) {
        List<?> wanted = options.get("subscriptions") instanceof Object[] channels ? List.of(channels) : List.of();
        client.getChannel(Channel.META_HANDSHAKE).addListener((ClientSessionChannel.MessageListener)(ignored, reply) -> {
            if (reply.isSuccessful()) {
                wanted.forEach(channel -> client.getChannel((String)channel).subscribe(listener((String)channel)));
            }
        });
        long started = System.nanoTime();
        client.handshake();
        if (!client.waitFor(CONNECT_MS, BayeuxClient.State.CONNECTED)) {
            throw new IllegalStateException("not connected after " + CONNECT_MS + " ms");
        }
        return elapsed(started);
    }

    Object transport() {
        return client.getTransport() == null ? null : client.getTransport().getName();
    }

    Object subscribe(String channel) throws Exception {
        return acknowledged(done -> client.getChannel(channel).subscribe(listener(channel), done::complete));
    }

    Object unsubscribe(String channel) throws Exception {
        return acknowledged(done -> client.getChannel(channel).unsubscribe(subscriptions.get(channel), done::complete));
    }

    Object publish(String channel, Object data) throws Exception {
        return acknowledged(done -> client.getChannel(channel).publish(data, done::complete));
    }

    /* The client waits for the end of its held connect, and for ever if it was told to leave before it sent one. */
    Object disconnect() throws Exception {
        held.get(CONNECT_MS, TimeUnit.MILLISECONDS);
        long started = System.nanoTime();
        if (!client.disconnect(CONNECT_MS)) {
            throw new IllegalStateException("not disconnected after " + CONNECT_MS + " ms");
        }
        return elapsed(started);
    }

    /* The first connect after a handshake asks to be answered at once; those that follow carry no advice. */
    private static boolean asksToBeHeld(Message message) {
        return Channel.META_CONNECT.equals(message.getChannel()) && message.getAdvice() == null;
    }

    private ClientSessionChannel.MessageListener listener(String subscription) {
        return subscriptions.computeIfAbsent(subscription, ignored -> (channel, message) -> {
            Map<String, Object> event = carried("message", message);
            event.put("subscription", subscription);
            emit.accept(event);
        });
    }

    private static Map<String, Object> carried(String kind, Message message) {
        Map<String, Object> event = new HashMap<>();
        event.put("event", kind);
        event.put("channel", message.getChannel());
        event.put("data", message.getData());
        return event;
    }

    private static Map<String, Object> meta(Message reply) {
        Map<String, Object> event = new HashMap<>();
        event.put("event", "meta");
        event.put("channel", reply.getChannel());
        event.put("successful", reply.isSuccessful());
        event.put("subscription", reply.get(Message.SUBSCRIPTION_FIELD));
        event.put("error", reply.get(Message.ERROR_FIELD));
        return event;
    }

    private static Object acknowledged(Consumer<CompletableFuture<Message>> request) throws Exception {
        CompletableFuture<Message> done = new CompletableFuture<>();
        request.accept(done);
        Message reply = done.get();
        if (!reply.isSuccessful()) {
            throw new IllegalStateException(reply.getChannel() + " failed: " + reply.getOrDefault(Message.ERROR_FIELD, reply.get("failure")));
        }
        return null;
    }

    private static Map<String, Object> elapsed(long started) {
        return Map.of("milliseconds", (System.nanoTime() - started) / 1e6);
    }

    private static ClientTransport transport(String name) throws Exception {
        Map<String, Object> options = new HashMap<>();
        options.put(ClientTransport.MAX_MESSAGE_SIZE_OPTION, MAX_MESSAGE_BYTES);
        if (name.equals("websocket")) {
            WebSocketContainer container = ContainerProvider.getWebSocketContainer();
            return new WebSocketTransport(options, null, container);
        }
        HttpClient http = new HttpClient();
        http.start();
        return new JettyHttpClientTransport(options, http);
    }
}
