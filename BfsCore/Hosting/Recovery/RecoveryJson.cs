using System.Text.Json;
using System.Text.Json.Serialization;

namespace BfsCore.Hosting.Recovery;

/// <summary>JSON of what recoveries leave and monitors say, without line breaks.</summary>
public static class RecoveryJson
{
    private static readonly JsonSerializerOptions s_options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public static string Write<T>(T value) where T : class => JsonSerializer.Serialize(value, s_options);

    /// <summary>Any text is allowed; null when it is no such value.</summary>
    public static T? TryParse<T>(string text) where T : class
    {
        try
        {
            return JsonSerializer.Deserialize<T>(text, s_options);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NotSupportedException)
        {
            return null;
        }
    }
}
