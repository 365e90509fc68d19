namespace BfsBench;

/// <summary>Work on a file system that is measured.</summary>
internal interface IFileWorkload
{
    string Name { get; }

    /// <summary>Why it cannot be done on this machine, and what to do about it; null when it can.</summary>
    string? WhyNot();

    /// <summary>What cannot be seen from the figures: sizes.</summary>
    string Description { get; }

    /// <summary>Whether it is measured on a system in a run, counted from 0.</summary>
    bool TakesPart(string system, int run) => true;

    /// <summary>A small part of the work, not measured: programs that have just started are slow at first.</summary>
    void WarmUp(string directory);

    /// <summary>All of it, in an empty directory, which it may leave full.</summary>
    void Run(string directory, string system, Results results);
}
