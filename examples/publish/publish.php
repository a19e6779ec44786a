<?php
// Publishes one message:  php publish.php CHANNEL JSON
// BAYEUX_URL names the broker's endpoint; BAYEUX_KEY is an API key, for brokers that want one.

function publish(string $channel, mixed $data): void
{
    $headers = ['Content-Type: application/json'];
    if ($key = getenv('BAYEUX_KEY')) {
        $headers[] = "Authorization: Bearer $key";
    }
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => $headers,
        'content' => json_encode(['channel' => $channel, 'data' => $data], JSON_THROW_ON_ERROR),
        'timeout' => 10,
        'ignore_errors' => true, // the body of an error says more than its status
    ]]);
    $answer = @file_get_contents(getenv('BAYEUX_URL') ?: 'http://127.0.0.1:8080/bayeux', false, $context);
    if ($answer === false) {
        throw new RuntimeException(error_get_last()['message'] ?? 'no answer');
    }
    $reply = json_decode($answer)[0] ?? throw new RuntimeException("no reply, but $http_response_header[0]");
    if (($reply->successful ?? false) !== true) {
        throw new RuntimeException('refused: ' . ($reply->error ?? 'no reason given'));
    }
}

if ($argc !== 3) {
    fwrite(STDERR, "usage: php publish.php CHANNEL JSON\n");
    exit(2);
}
try {
    publish($argv[1], json_decode($argv[2], flags: JSON_THROW_ON_ERROR));
} catch (Exception $e) {
    fwrite(STDERR, "publish: {$e->getMessage()}\n");
    exit(1);
}
