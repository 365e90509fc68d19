namespace BfsSim.Mutants;

/// <summary>A protection of the protocol and what the source looks like without it.</summary>
/// <param name="Name">For the command line.</param>
/// <param name="Protection">What is removed, in words.</param>
/// <param name="Source">Where it is demanded: a section of the thesis or a known pitfall.</param>
/// <param name="File">Path below the root of the sources.</param>
/// <param name="Fragment">The text that is the protection; it occurs once in the file.</param>
/// <param name="Replacement">What stands there without it.</param>
public sealed record Mutant(string Name, string Protection, string Source, string File, string Fragment, string Replacement)
{
    /// <summary>The violation must be found within so many seeds.</summary>
    public int Seeds { get; init; } = 1000;

    /// <summary>A name in <see cref="SimProfiles"/>: which seeds; null for the common mix.</summary>
    public string? Profile { get; init; } = SimProfiles.LiarName;

    /// <summary>Without the protection the system stops; else only a violation of safety counts as found.</summary>
    public bool Stops { get; init; }

    /// <summary>Why no seed is expected to find it; null for those that must be found.</summary>
    public string? Survives { get; init; }

    /// <summary>The file without the protection.</summary>
    /// <exception cref="InvalidDataException">The fragment is not there exactly once: the list has to follow the sources.</exception>
    public string Apply(string text)
    {
        int at = text.IndexOf(Fragment, StringComparison.Ordinal);
        if (at < 0 || text.IndexOf(Fragment, at + 1, StringComparison.Ordinal) >= 0)
        {
            throw new InvalidDataException($"{Name}: in {File} there is {(at < 0 ? "no" : "more than one")} \"{Fragment}\"");
        }
        return text[..at] + Replacement + text[(at + Fragment.Length)..];
    }
}
