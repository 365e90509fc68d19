using System.Globalization;

namespace BfsClient;

/// <summary>The options of a mount, as "-o" and fstab give them; docs/mount.md describes them.</summary>
public sealed record MountOptions
{
    /// <summary>Users other than the one who mounts may use the drive.</summary>
    public bool AllowOther { get; init; }

    public bool ReadOnly { get; init; }

    /// <summary>Set-user-ID programs and device files work (only when root mounts).</summary>
    public bool AllowSetId { get; init; }

    public bool AllowDevices { get; init; }

    public bool NoExecute { get; init; }

    /// <summary>No caching: every single operation is linearizable.</summary>
    public bool Strict { get; init; }

    /// <summary>After this a call ends with EIO, milliseconds; 0: calls wait for ever.</summary>
    public long SoftTimeoutMillis { get; init; }

    /// <summary>How long the kernel may use attributes without asking, milliseconds.</summary>
    public long AttributeMillis { get; init; } = 1000;

    /// <summary>How long the kernel may use a name without asking, milliseconds.</summary>
    public long EntryMillis { get; init; } = 1000;

    /// <summary>How far the kernel reads ahead, KiB.</summary>
    public int ReadaheadKib { get; init; } = 1024;

    /// <summary>What the mount table shows as the source.</summary>
    public string Source { get; init; } = "bfs";

    /// <summary>Words of fstab that others understand, or that say what is the case anyway.</summary>
    private static readonly HashSet<string> s_ignored =
    [
        "defaults", "rw", "nosuid", "nodev", "exec", "async", "auto", "noauto", "user", "nouser", "users", "owner",
        "group", "_netdev", "nofail", "noatime", "relatime", "nodiratime", "default_permissions", "hard", "nonempty",
    ];

    /// <summary>Reads "a,b=c". Later words win over earlier ones.</summary>
    /// <param name="error">What is wrong, for people; empty on success.</param>
    public static bool TryParse(string text, out MountOptions options, out string error)
    {
        options = new MountOptions();
        long timeoutMillis = 60_000;
        bool soft = false;
        foreach (string word in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? word : word[..equals];
            string? value = equals < 0 ? null : word[(equals + 1)..];
            error = name switch
            {
                "timeo" => SetDeciseconds(value, out timeoutMillis),
                "soft" => SetFlag(value, out soft),
                _ => Set(ref options, name, value),
            };
            if (error.Length > 0)
            {
                error = $"mount option '{word}': {error}";
                return false;
            }
            soft = soft && name != "hard";
        }
        options = options with { SoftTimeoutMillis = soft ? timeoutMillis : 0 };
        if (options.Strict)
        {
            options = options with { AttributeMillis = 0, EntryMillis = 0 };
        }
        error = "";
        return true;
    }

    private static string Set(ref MountOptions options, string name, string? value)
    {
        string error = "";
        switch (name)
        {
            case "allow_other":
                options = options with { AllowOther = true };
                break;
            case "ro":
                options = options with { ReadOnly = true };
                break;
            case "suid":
                options = options with { AllowSetId = true };
                break;
            case "dev":
                options = options with { AllowDevices = true };
                break;
            case "noexec":
                options = options with { NoExecute = true };
                break;
            case "strict":
                options = options with { Strict = true };
                break;
            case "attr_timeout":
                error = SetSeconds(value, out long attributeMillis);
                options = options with { AttributeMillis = attributeMillis };
                return error;
            case "entry_timeout":
                error = SetSeconds(value, out long entryMillis);
                options = options with { EntryMillis = entryMillis };
                return error;
            case "readahead":
                error = SetInteger(value, 0, 16 * 1024, "KiB", out int kib);
                options = options with { ReadaheadKib = kib };
                return error;
            case "fsname":
                options = options with { Source = value ?? "" };
                return value is { Length: > 0 } ? "" : "a name is missing";
            default:
                bool known = s_ignored.Contains(name) || name.StartsWith("x-", StringComparison.Ordinal);
                return known ? "" : "unknown";
        }
        return value is null ? error : "takes no value";
    }

    private static string SetFlag(string? value, out bool flag)
    {
        flag = true;
        return value is null ? "" : "takes no value";
    }

    private static string SetSeconds(string? value, out long millis)
    {
        bool ok = decimal.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal seconds) &&
            seconds <= 86_400;
        millis = ok ? (long)(seconds * 1000) : 0;
        return ok ? "" : "expected seconds from 0 to 86400";
    }

    private static string SetDeciseconds(string? value, out long millis)
    {
        string error = SetInteger(value, 1, 864_000, "tenths of a second", out int deciseconds);
        millis = deciseconds * 100L;
        return error;
    }

    private static string SetInteger(string? value, int least, int most, string unit, out int number)
    {
        bool ok = int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out number) &&
            number >= least && number <= most;
        return ok ? "" : $"expected {unit} from {least} to {most}";
    }
}
