namespace BfsCore.Hosting.Net;

/// <summary>
/// Links between replicas that a test has cut (for tests only; see docs/faults.md). One bit for each replica. Datagrams
/// of clients and monitors always pass.
/// </summary>
internal sealed class LinkFaults(SourceAddress[] replicas, ulong from, ulong to)
{
    /// <summary>Whether what comes from there is dropped.</summary>
    public bool DropsFrom(SourceAddress source) => Contains(from, source);

    /// <summary>Whether what goes there is dropped.</summary>
    public bool DropsTo(SourceAddress address) => Contains(to, address);

    private bool Contains(ulong set, SourceAddress address)
    {
        int index = Array.IndexOf(replicas, address);
        return index >= 0 && (set >> index & 1) != 0;
    }
}
