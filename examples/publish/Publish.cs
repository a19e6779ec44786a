// Publishes one message:  mcs -r:System.Net.Http Publish.cs && mono Publish.exe CHANNEL JSON
// or, with .NET 10 and newer (not part of the test here):  dotnet run Publish.cs CHANNEL JSON
// BAYEUX_URL names the broker's endpoint; BAYEUX_KEY is an API key, for brokers that want one.

using System;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;

static class Publisher
{
    static void Publish(string channel, string json)
    {
        var url = Environment.GetEnvironmentVariable("BAYEUX_URL") ?? "http://127.0.0.1:8080/bayeux";
        var key = Environment.GetEnvironmentVariable("BAYEUX_KEY");
        var name = channel.Replace("\\", "\\\\").Replace("\"", "\\\"");
        using (var client = new HttpClient { Timeout = TimeSpan.FromSeconds(10) })
        {
            if (key != null)
                client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
            var body = new StringContent($"{{\"channel\": \"{name}\", \"data\": {json}}}", Encoding.UTF8, "application/json");
            var answer = client.PostAsync(url, body).GetAwaiter().GetResult();
            var reply = answer.Content.ReadAsStringAsync().GetAwaiter().GetResult();
            // The only text of ours in a reply is the channel, and quotes in it are escaped: this cannot be part of it.
            if (!reply.Contains("\"successful\":true"))
                throw new HttpRequestException($"refused: {reply} (HTTP status {(int)answer.StatusCode})");
        }
    }

    static int Main(string[] args)
    {
        if (args.Length != 2)
        {
            Console.Error.WriteLine("usage: Publish CHANNEL JSON");
            return 2;
        }
        try
        {
            Publish(args[0], args[1]);
            return 0;
        }
        catch (Exception e)
        {
            Console.Error.WriteLine("publish: " + e.GetBaseException().Message);
            return 1;
        }
    }
}
