#!/bin/sh
# Publishes one message:  sh publish.sh CHANNEL JSON
# BAYEUX_URL names the broker's endpoint; BAYEUX_KEY is an API key, for brokers that want one.
set -eu
[ $# -eq 2 ] || { echo "usage: sh publish.sh CHANNEL JSON" >&2; exit 2; }

channel=$(printf %s "$1" | sed 's/["\\]/\\&/g')
# The key is read from standard input, so that the list of processes does not show it.
reply=$(curl --silent --show-error --max-time 10 "${BAYEUX_URL:-http://127.0.0.1:8080/bayeux}" \
  --header 'Content-Type: application/json' ${BAYEUX_KEY:+--header @-} \
  --write-out ' (HTTP status %{http_code})' \
  --data-binary "{\"channel\": \"$channel\", \"data\": $2}" <<HEADER
Authorization: Bearer ${BAYEUX_KEY:-}
HEADER
) || { echo "publish: no answer from the broker" >&2; exit 1; }

# The only text of ours in a reply is the channel, and quotes in it are escaped: this cannot be part of it.
case $reply in
  *'"successful":true'*) ;;
  *) echo "publish: refused: $reply" >&2; exit 1 ;;
esac
