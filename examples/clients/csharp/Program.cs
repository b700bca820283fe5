// Ask `rim-edge serve` from .NET 8: its own HttpClient and System.Text.Json, no package.
//
//     dotnet run [http://127.0.0.1:8765]
//
// Nobody has run this file yet: there was no .NET where it was written. It was read against the API's documentation,
// and its requests are the same as those of client.mjs, which a test runs.

using System.Net.Http.Json;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

var server = args.Length > 0 ? args[0] : "http://127.0.0.1:8765";
// No proxy is asked for what is on this machine.
using var handler = new HttpClientHandler { UseProxy = false };
using var client = new HttpClient(handler) { BaseAddress = new Uri(server), Timeout = TimeSpan.FromSeconds(150) };
var edge = new EdgeClient(client);

var answer = await edge.AskAsync(
    "Which vitamin deficiency causes scurvy?", new[] { "Vitamin A", "Vitamin B12", "Vitamin C" });
var letter = answer["letter"]!.GetValue<string>();
var choice = answer["choice"]!.GetValue<string>();
var share = answer["probabilities"]![letter]!.GetValue<double>();
Console.WriteLine(FormattableString.Invariant($"letter: {letter}, {choice}, {100 * share:F1} %"));

Console.Write("text: ");
try
{
    await foreach (var piece in edge.WriteAsync("Where is Mary?"))
    {
        Console.Write(piece);
    }
    Console.WriteLine();
}
catch (RefusalException refused)
{
    Console.WriteLine($"none. {refused.Message}");
}

try
{
    await edge.AskAsync("Which vitamin?", new[] { "Vitamin C" });
}
catch (RefusalException refused)
{
    Console.WriteLine($"refused ({refused.Kind}): {refused.Message}");
}

/// <summary>The server does not answer; the kind says why to programs.</summary>
class RefusalException(JsonNode? error) : Exception((string?)error?["message"])
{
    public string? Kind { get; } = (string?)error?["kind"];
}

class EdgeClient(HttpClient client)
{
    /// <summary>Ask a question with options; return the fields of the answer.</summary>
    public async Task<JsonNode> AskAsync(string question, string[] options, CancellationToken cancel = default)
    {
        using var reply = await PostAsync("/ask", new { question, options }, cancel);
        return (await reply.Content.ReadFromJsonAsync<JsonNode>(cancel))!;
    }

    /// <summary>Give a text piece by piece, as it is written. Who breaks off gives the text up.</summary>
    public async IAsyncEnumerable<string> WriteAsync(
        string question, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        using var reply = await PostAsync("/generate", new { question, stream = true }, cancel);
        using var lines = new StreamReader(await reply.Content.ReadAsStreamAsync(cancel));
        while (await lines.ReadLineAsync(cancel) is { } line)
        {
            if (!line.StartsWith("data: ", StringComparison.Ordinal))
            {
                continue;
            }
            var told = JsonNode.Parse(line["data: ".Length..])!;
            if (told["error"] is { } error)
            {
                throw new RefusalException(error); // the text broke off
            }
            if (told["piece"] is { } piece) // the last event has none: it is the whole text
            {
                yield return piece.GetValue<string>();
            }
        }
    }

    private async Task<HttpResponseMessage> PostAsync(string path, object body, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path)
        {
            Content = JsonContent.Create(body, body.GetType()),
        };
        // The reply is there with its headers, so that a text can be read while it is written.
        var reply = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        if (reply.IsSuccessStatusCode)
        {
            return reply;
        }
        using (reply)
        {
            var told = await reply.Content.ReadFromJsonAsync<JsonNode>(cancel);
            throw new RefusalException(told?["error"]);
        }
    }
}
