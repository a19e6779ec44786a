# Publishes one message:  ruby publish.rb CHANNEL JSON
# BAYEUX_URL names the broker's endpoint; BAYEUX_KEY is an API key, for brokers that want one.
require "json"
require "net/http"

def publish(channel, data)
  url = URI(ENV.fetch("BAYEUX_URL", "http://127.0.0.1:8080/bayeux"))
  request = Net::HTTP::Post.new(url, "Content-Type" => "application/json")
  request["Authorization"] = "Bearer #{ENV["BAYEUX_KEY"]}" if ENV["BAYEUX_KEY"]
  request.body = JSON.generate({ channel: channel, data: data })
  options = { use_ssl: url.scheme == "https", open_timeout: 10, read_timeout: 10 }
  answer = Net::HTTP.start(url.hostname, url.port, **options) { |http| http.request(request) }
  reply = begin
    JSON.parse(answer.body).first
  rescue JSON::ParserError, NoMethodError
    raise "HTTP status #{answer.code}, and no reply"
  end
  raise "refused: #{reply["error"]}" unless reply["successful"] == true
end

abort "usage: ruby publish.rb CHANNEL JSON" unless ARGV.length == 2
begin
  publish(ARGV[0], JSON.parse(ARGV[1]))
rescue StandardError => e
  abort "publish: #{e.message}"
end
