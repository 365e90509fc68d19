namespace BfsCore.Replication;

/// <summary>
/// Bounds the public-key work that anybody can make this replica do (§5.5, pitfall 2): so many signature checks per tenth of a
/// second for each principal, and for all clients together, so that replicas always have theirs.
/// </summary>
public sealed class SignatureBudget(int replicas, int clients)
{
    private const long PeriodMicros = 100_000;

    /// <summary>Checks of what one replica brings: its pre-prepares, relays and keys.</summary>
    public const int PerReplica = 200;

    /// <summary>Checks of what comes in one client's name; anybody can use it up with forgeries.</summary>
    public const int PerClient = 32;

    /// <summary>Checks of what comes in the name of any client.</summary>
    public const int AllClients = 128;

    private readonly int[] _spent = new int[replicas + clients];
    private int _spentByClients;
    private long _periodStartMicros;

    /// <param name="principal">A replica's index, or n plus a client's.</param>
    public bool TrySpend(int principal, long nowMicros)
    {
        if (nowMicros - _periodStartMicros >= PeriodMicros)
        {
            _periodStartMicros = nowMicros;
            _spentByClients = 0;
            Array.Clear(_spent);
        }
        bool isClient = principal >= replicas;
        if (_spent[principal] >= (isClient ? PerClient : PerReplica) || (isClient && _spentByClients >= AllClients))
        {
            return false;
        }
        _spent[principal]++;
        _spentByClients += isClient ? 1 : 0;
        return true;
    }
}
