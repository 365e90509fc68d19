namespace BfsCore.Crypto;

/// <summary>
/// Bounds the public-key work that anybody can make this replica do (§5.5, pitfall 2): so many signature checks per tenth of a
/// second. What a replica brings under its MAC is counted apart from what comes in somebody's name and may be forged.
/// </summary>
public sealed class SignatureBudget(int replicas, int clients)
{
    private const long PeriodMicros = 100_000;

    /// <summary>Checks of what one replica brings under its own MAC: its pre-prepares and relays.</summary>
    public const int PerReplica = 200;

    /// <summary>Checks of what comes in one client's name: signed requests and keys.</summary>
    public const int PerClient = 32;

    /// <summary>Checks of what comes in the name of any client.</summary>
    public const int AllClients = 128;

    /// <summary>Checks of keys that come in one replica's name.</summary>
    public const int KeysPerReplica = 8;

    private readonly int[] _replicas = new int[replicas];
    private readonly int[] _keys = new int[replicas];
    private readonly int[] _clients = new int[clients];
    private int _allClients;
    private long _periodStartMicros;

    /// <summary>A check of a request.</summary>
    /// <param name="principal">A replica's index, or n plus a client's.</param>
    public bool TrySpend(int principal, long nowMicros)
    {
        Advance(nowMicros);
        return principal < replicas ? TrySpend(_replicas, principal, PerReplica) : TrySpendClient(principal - replicas);
    }

    /// <summary>A check of a NEW-KEY.</summary>
    /// <param name="principal">A replica's index, or n plus a client's.</param>
    public bool TrySpendKey(int principal, long nowMicros)
    {
        Advance(nowMicros);
        return principal < replicas ? TrySpend(_keys, principal, KeysPerReplica) : TrySpendClient(principal - replicas);
    }

    private bool TrySpendClient(int client)
    {
        if (_allClients >= AllClients || !TrySpend(_clients, client, PerClient))
        {
            return false;
        }
        _allClients++;
        return true;
    }

    private static bool TrySpend(int[] spent, int index, int most)
    {
        if (spent[index] >= most)
        {
            return false;
        }
        spent[index]++;
        return true;
    }

    private void Advance(long nowMicros)
    {
        if (nowMicros - _periodStartMicros >= PeriodMicros)
        {
            _periodStartMicros = nowMicros;
            _allClients = 0;
            Array.Clear(_replicas);
            Array.Clear(_keys);
            Array.Clear(_clients);
        }
    }
}
