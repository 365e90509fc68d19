using BfsCore;
using BfsCore.Crypto;
using BfsCore.Messages;

namespace BfsTests.Engine;

/// <summary>A client with keys that writes whatever requests a test wants, to whom it wants.</summary>
internal sealed class RawClient(InMemoryCluster cluster, int client)
{
    private readonly int _n = cluster.Config.N;
    private readonly MacKey[] _keys = new MacKey[cluster.Config.N];

    public int Id => Limits.FirstClientId + client;
    public ulong Session { get; private set; }

    /// <summary>Begins a session with all replicas.</summary>
    public RawClient Start()
    {
        byte[] newKey = NewKeyMessage();
        for (int i = 0; i < _n; i++)
        {
            cluster.Inject(i, Id, newKey);
        }
        cluster.Run();
        return this;
    }

    /// <summary>A NEW-KEY message of the next session, or of the same one; its keys are used from now on.</summary>
    public byte[] NewKeyMessage(bool sameSession = false)
    {
        IKeyExchange exchange = cluster.ExchangeOf(client);
        byte[] secrets = new byte[_n * MacKey.KeyBytes];
        ulong counter = exchange.NextCounter();
        new TestEntropy(counter + 77).Fill(secrets);
        Session = sameSession ? Session : counter;
        byte[] newKey = new byte[NewKey.SizeFor(_n)];
        exchange.Create(newKey, Id, counter, Session, secrets);
        for (int i = 0; i < _n; i++)
        {
            (_keys[i], _) = KeyExchange.DeriveClientKeys(secrets.AsSpan(i * MacKey.KeyBytes, MacKey.KeyBytes));
        }
        return newKey;
    }

    /// <param name="wrong">The replicas for which the MAC is wrong, one bit each.</param>
    /// <param name="signature">Null: unsigned; false: a signature that is wrong.</param>
    public byte[] Request(int slot, ulong timestamp, byte[] operation, int wrong = 0, bool? signature = null, bool again = false)
    {
        int size = BfsCore.Messages.Request.SizeFor(operation.Length, cluster.Config.Format);
        byte[] buffer = new byte[size + (signature is null ? 0 : BfsCore.Messages.Request.SignatureBytes)];
        BfsCore.Messages.Request.Write(buffer, cluster.Config.Format, new ClientId(Id), slot, false, Session, timestamp, 0, RequestFlags.None, operation);
        if (signature is not null)
        {
            BfsCore.Messages.Request.MarkSigned(buffer, size);
        }
        if (again)
        {
            BfsCore.Messages.Request.MarkRetransmission(buffer);
        }
        Span<byte> header = buffer.AsSpan(0, BfsCore.Messages.Request.HeaderBytes);
        for (int i = 0; i < _n; i++)
        {
            Span<byte> tag = buffer.AsSpan(header.Length + operation.Length + (i * 8), 8);
            _keys[i].Sign(header, tag);
            tag[0] ^= (byte)(wrong >> i & 1);
        }
        if (signature is { } right)
        {
            cluster.ExchangeOf(client).Sign(Id, header, buffer.AsSpan(size));
            buffer[^1] ^= right ? (byte)0 : (byte)1;
        }
        return buffer;
    }

    /// <summary>Sends to the replicas in the set, one bit each.</summary>
    public void Send(byte[] message, int to = -1)
    {
        for (int i = 0; i < _n; i++)
        {
            if ((to >> i & 1) != 0)
            {
                cluster.Inject(i, Id, (byte[])message.Clone());
            }
        }
    }
}
