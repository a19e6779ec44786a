# Publishes one message:  elixir publish.exs CHANNEL JSON
# BAYEUX_URL names the broker's endpoint; BAYEUX_KEY is an API key, for brokers that want one.

defmodule Publish do
  def publish(channel, json) do
    url = System.get_env("BAYEUX_URL", "http://127.0.0.1:8080/bayeux")
    name = String.replace(channel, ["\\", "\""], &("\\" <> &1))
    body = ~s({"channel": "#{name}", "data": #{json}})
    request = {String.to_charlist(url), authorization(System.get_env("BAYEUX_KEY")), ~c"application/json", body}

    case :httpc.request(:post, request, [timeout: 10_000], body_format: :binary) do
      {:ok, {{_, status, _}, _, reply}} ->
        # The only text of ours in a reply is the channel, and quotes in it are escaped: this cannot be part of it.
        if reply =~ ~s("successful":true), do: :ok, else: {:error, "refused: #{reply} (HTTP status #{status})"}

      {:error, reason} ->
        {:error, "no answer: #{inspect(reason)}"}
    end
  end

  defp authorization(nil), do: []
  defp authorization(key), do: [{~c"authorization", String.to_charlist("Bearer " <> key)}]
end

{:ok, _} = Application.ensure_all_started(:inets)

case System.argv() do
  [channel, json] ->
    with {:error, why} <- Publish.publish(channel, json) do
      IO.puts(:stderr, "publish: #{why}")
      System.halt(1)
    end

  _ ->
    IO.puts(:stderr, "usage: elixir publish.exs CHANNEL JSON")
    System.halt(2)
end
