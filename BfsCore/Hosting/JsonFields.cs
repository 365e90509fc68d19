using System.Text.Json;

namespace BfsCore.Hosting;

/// <summary>
/// The fields of one JSON object, taken by name; whatever is missing, of the wrong kind, out of range, twice or not taken at
/// the end is an error that says where. The problems are <see cref="FormatException"/>s, for the file's reader to complete.
/// </summary>
internal sealed class JsonFields
{
    private readonly Dictionary<string, JsonElement> _fields = [];
    private readonly string _where;

    /// <param name="where">How a person finds this object in the file: "replicas[2]", empty for the whole.</param>
    public JsonFields(JsonElement element, string where)
    {
        _where = where;
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw Problem(where.Length == 0 ? "the file" : where, "must be an object { ... }");
        }
        foreach (JsonProperty property in element.EnumerateObject())
        {
            if (!_fields.TryAdd(property.Name, property.Value))
            {
                throw Problem(Name(property.Name), "is there twice");
            }
        }
    }

    public string Text(string name)
    {
        JsonElement value = Take(name);
        return value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Problem(Name(name), "must be a string");
    }

    /// <summary>Null or absent gives null.</summary>
    public string? OptionalText(string name)
    {
        if (_fields.TryGetValue(name, out JsonElement value) && value.ValueKind == JsonValueKind.Null)
        {
            _fields.Remove(name);
            return null;
        }
        return _fields.ContainsKey(name) ? Text(name) : null;
    }

    public int Number(string name) => ToNumber(Name(name), Take(name));

    public int Number(string name, int absent) => _fields.ContainsKey(name) ? Number(name) : absent;

    public long LongNumber(string name, long absent)
    {
        if (!_fields.ContainsKey(name))
        {
            return absent;
        }
        JsonElement value = Take(name);
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number)
            ? number
            : throw Problem(Name(name), $"must be a whole number, not {value.GetRawText()}");
    }

    public bool Flag(string name, bool absent)
    {
        if (!_fields.ContainsKey(name))
        {
            return absent;
        }
        JsonElement value = Take(name);
        return value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean()
            : throw Problem(Name(name), "must be true or false");
    }

    public byte[] Base64(string name)
    {
        JsonElement value = Take(name);
        return value.ValueKind == JsonValueKind.String && value.TryGetBytesFromBase64(out byte[]? bytes)
            ? bytes
            : throw Problem(Name(name), "must be a string of base64");
    }

    public IReadOnlyList<T> Objects<T>(string name, Func<JsonFields, T> read) =>
        [.. Elements(name).Select((element, i) =>
        {
            var fields = new JsonFields(element, $"{Name(name)}[{i}]");
            T value = read(fields);
            fields.End();
            return value;
        })];

    public IReadOnlyList<uint> Numbers(string name)
    {
        if (!_fields.ContainsKey(name))
        {
            return [];
        }
        return [.. Elements(name).Select((element, i) =>
            ToUnsigned($"{Name(name)}[{i}]", element))];
    }

    public uint UnsignedNumber(string name, uint absent) =>
        _fields.ContainsKey(name) ? ToUnsigned(Name(name), Take(name)) : absent;

    /// <summary>Nothing may be left.</summary>
    public void End()
    {
        foreach (string name in _fields.Keys)
        {
            throw Problem(Name(name), "is not a known field; remove it, or correct its spelling");
        }
    }

    /// <summary>A problem with one of the fields.</summary>
    public FormatException Invalid(string name, string problem) => Problem(Name(name), problem);

    private JsonElement.ArrayEnumerator Elements(string name)
    {
        JsonElement value = Take(name);
        return value.ValueKind == JsonValueKind.Array
            ? value.EnumerateArray()
            : throw Problem(Name(name), "must be a list [ ... ]");
    }

    private JsonElement Take(string name) =>
        _fields.Remove(name, out JsonElement value) ? value : throw Problem(Name(name), "is missing");

    private static int ToNumber(string name, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number)
            ? number
            : throw Problem(name, $"must be a whole number of at most {int.MaxValue}, not {value.GetRawText()}");

    private static uint ToUnsigned(string name, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetUInt32(out uint number)
            ? number
            : throw Problem(name, $"must be a whole number from 0 to {uint.MaxValue}");

    private string Name(string field) => _where.Length == 0 ? field : _where + "." + field;

    private static FormatException Problem(string name, string problem) => new($"{name} {problem}");
}
