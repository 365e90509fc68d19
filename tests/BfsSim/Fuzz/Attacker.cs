using System.Buffers.Binary;
using System.Security.Cryptography;
using BfsCore;
using BfsCore.Crypto;
using BfsCore.Messages;
using BfsCore.State;
using BfsSim.Network;

namespace BfsSim.Fuzz;

/// <summary>
/// A faulty replica and a faulty client that work together: knows their session keys from the NEW-KEY messages on the wire,
/// and makes changed messages authentic, so that they get past MACs and digests into the handlers.
/// </summary>
internal sealed class Attacker(ClusterConfig config, ReplicaId replica, ClientId client, SimKeyExchange exchange, SimRandom random)
{
    private readonly MacKey?[] _replicaTo = new MacKey?[config.N];
    private readonly MacKey?[] _clientTo = new MacKey?[config.N];
    private readonly MacKey?[] _replicaToClient = new MacKey?[config.Clients.Count];
    private readonly byte[] _scratch = new byte[12 + (65_536 * Digest.SizeBytes)];

    public ReplicaId Replica => replica;
    public ClientId Client => client;

    /// <summary>The session of the client's last NEW-KEY.</summary>
    public ulong Session { get; private set; }

    /// <summary>Reads the keys that a NEW-KEY has for the two.</summary>
    public void Overhear(ReadOnlySpan<byte> message)
    {
        if (!NewKey.TryParse(message, config.N, out NewKey newKey))
        {
            return;
        }
        Span<byte> key = stackalloc byte[MacKey.KeyBytes];
        if (newKey.Principal < config.N)
        {
            if (exchange.TryOpen(newKey, replica, key))
            {
                _replicaTo[newKey.Principal] = new MacKey(key);
            }
            return;
        }
        int index = config.ClientIndex(new ClientId(newKey.Principal));
        if (index >= 0 && exchange.TryOpen(newKey, replica, key))
        {
            _replicaToClient[index] = KeyExchange.DeriveClientKeys(key).ReplicaToClient;
        }
        Session = newKey.Principal == client.Value ? newKey.Session : Session;
        for (int j = 0; index >= 0 && newKey.Principal == client.Value && j < config.N; j++)
        {
            _clientTo[j] = exchange.TryOpen(newKey, new ReplicaId(j), key) ? KeyExchange.DeriveClientKeys(key).ClientToReplica : null;
        }
    }

    /// <summary>
    /// Makes sizes, digests and MACs of a message right, as far as they are the attacker's to make.
    /// </summary>
    /// <param name="to">Where a reply goes: the index of the client.</param>
    /// <param name="damage">Now and then leave one MAC of a request wrong.</param>
    public void Seal(Mutator mutator, in MessageShape shape, MessageTag tag, int to, bool damage = true)
    {
        mutator.FixSize();
        Span<byte> m = mutator.Message;
        int tags = config.N * MessageHeader.TagBytes;
        if (m.Length < shape.Header)
        {
            return;
        }
        if (shape.PayloadDigest >= 0 && m.Length >= shape.Header + tags)
        {
            SHA256.HashData(m[shape.Header..^tags], m[shape.PayloadDigest..]);
        }
        switch (tag)
        {
            case MessageTag.Request:
                SealRequest(m, damage);
                return;
            case MessageTag.Reply:
                SealReply(m, to);
                return;
            case MessageTag.PrePrepare:
                SealPrePrepare(m);
                break;
            case MessageTag.Relay:
                SealRelay(m);
                break;
            case MessageTag.NewKey:
                if (m.Length > NewKey.SignatureBytes)
                {
                    int signer = BinaryPrimitives.ReadUInt16LittleEndian(m[8..]) < config.N ? replica.Value : client.Value;
                    exchange.Sign(signer, m[..^NewKey.SignatureBytes], m[^NewKey.SignatureBytes..]);
                }
                return;
            default:
                break;
        }
        if (shape.Proof == Proof.Replicas && m.Length >= shape.Header + tags)
        {
            Authenticate(_replicaTo, m[..shape.Header], m[^tags..]);
        }
        else if (shape.Proof == Proof.Receiver && m.Length >= shape.Header + MessageHeader.TagBytes)
        {
            // To one replica: nobody but the receiver looks at it, whoever that is.
            _replicaTo[to]?.Sign(m[..shape.Header], m[^MessageHeader.TagBytes..]);
        }
    }

    private static void Authenticate(MacKey?[] keys, ReadOnlySpan<byte> header, Span<byte> tags)
    {
        for (int j = 0; j < keys.Length; j++)
        {
            keys[j]?.Sign(header, tags.Slice(j * MessageHeader.TagBytes, MessageHeader.TagBytes));
        }
    }

    private void SealRequest(Span<byte> m, bool damage)
    {
        int tags = config.N * MessageHeader.TagBytes;
        bool signed = (m[2] & (byte)RequestFlags.Signed) != 0;
        int operation = m.Length - Request.HeaderBytes - tags - (signed ? Request.SignatureBytes : 0);
        if (operation is < 0 or > ContentDigest.MaxContentBytes)
        {
            return;
        }
        BinaryPrimitives.WriteInt32LittleEndian(m[72..], operation);
        BinaryPrimitives.WriteInt32LittleEndian(m[48..], client.Value);
        Request.WriteDigest(m, operation);
        // A partly wrong authenticator is the attack of §3.2.2.
        Authenticate(_clientTo, m[..Request.HeaderBytes], m.Slice(Request.HeaderBytes + operation, tags));
        if (damage && random.PerMille(200))
        {
            m[Request.HeaderBytes + operation + random.Below(tags)] ^= 1;
        }
        if (signed && random.PerMille(800))
        {
            exchange.Sign(client.Value, m[..Request.HeaderBytes], m[^Request.SignatureBytes..]);
        }
    }

    private void SealReply(Span<byte> m, int to)
    {
        int result = m.Length - Reply.HeaderBytes - MessageHeader.TagBytes;
        if (result is >= 0 and <= ContentDigest.MaxContentBytes && to < _replicaToClient.Length)
        {
            BinaryPrimitives.WriteInt32LittleEndian(m[72..], result);
            ContentDigest.Of(m.Slice(Reply.HeaderBytes, result)).Write(m[40..]);
            _replicaToClient[to]?.Sign(m[..Reply.HeaderBytes], m[^MessageHeader.TagBytes..]);
        }
    }

    /// <summary>A backup may pass on what it likes; now and then it is a request of the faulty client.</summary>
    private void SealRelay(Span<byte> m)
    {
        Span<byte> request = m.Length > Relay.HeaderBytes + MessageHeader.TagBytes ? m[Relay.HeaderBytes..^MessageHeader.TagBytes] : default;
        if (request.Length >= Request.HeaderBytes && random.PerMille(500))
        {
            BinaryPrimitives.WriteInt32LittleEndian(request[4..], request.Length);
            SealRequest(request, damage: true);
        }
        BinaryPrimitives.WriteInt32LittleEndian(m[12..], request.Length);
        SHA256.HashData(request, m[16..]);
    }

    private void SealPrePrepare(Span<byte> m)
    {
        int payload = m.Length - PrePrepare.HeaderBytes - (config.N * MessageHeader.TagBytes);
        if (payload < 0)
        {
            return;
        }
        BinaryPrimitives.WriteInt32LittleEndian(m[68..], payload);
        if (PrePrepare.TryParse(m, config.Format, out PrePrepare prePrepare))
        {
            PrePrepare.EntryReader reader = prePrepare.Entries(config.Format);
            int count = 0;
            while (reader.Next())
            {
                reader.Digest.Write(_scratch.AsSpan(12 + (count++ * Digest.SizeBytes)));
            }
            PrePrepare.BatchDigest(prePrepare.TimeNanos, count, _scratch).Write(m[32..]);
        }
    }
}
