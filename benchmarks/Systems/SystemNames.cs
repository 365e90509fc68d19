namespace BfsBench;

/// <summary>What the systems are called in figures, tables and options.</summary>
internal static class SystemNames
{
    public const string Bfs = "BFS";
    public const string BfsPr = "BFS-PR";
    public const string BfsPk = "BFS-PK";
    public const string NoRep = "NO-REP";
    public const string Local = "local";
    public const string PassThrough = "pass-through";
    public const string GlusterFs = "GlusterFS";

    private static readonly string[] Order = [Bfs, BfsPr, BfsPk, NoRep, Local, PassThrough, GlusterFs];

    /// <summary>The place of a system among others in tables and plots.</summary>
    public static int Rank(string system) => Array.IndexOf(Order, system) is var rank && rank < 0 ? Order.Length : rank;
}
