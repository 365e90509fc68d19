using System.Buffers.Binary;
using System.Security.Cryptography;
using BfsCore;
using BfsCore.Messages;

namespace BfsSim.Network;

/// <summary>
/// NEW-KEY without public keys: signatures and wrapping keys are hashes over a secret of the simulation, so that they are
/// cheap and the same in every run.
/// </summary>
public sealed class SimKeyExchange(int replicas, ulong clusterSecret) : IKeyExchange
{
    private ulong _counter;

    public ulong NextCounter() => ++_counter;

    public int Create(Span<byte> buffer, int principal, ulong counter, ulong session, ReadOnlySpan<byte> keys)
    {
        Span<byte> point = stackalloc byte[NewKey.PublicKeyBytes];
        point.Clear();
        int size = NewKey.WriteHeader(buffer, replicas, principal, counter, session, point);
        Span<byte> pad = stackalloc byte[NewKey.WrappedKeyBytes];
        for (int j = 0; j < replicas; j++)
        {
            Span<byte> wrapped = buffer.Slice(NewKey.HeaderBytes + (j * NewKey.WrappedKeyBytes), NewKey.WrappedKeyBytes);
            Pad(principal, j, counter, pad);
            pad.CopyTo(wrapped);
            for (int i = 0; i < 16; i++)
            {
                wrapped[i] ^= keys[(j * 16) + i];
            }
        }
        Sign(principal, buffer[..(size - NewKey.SignatureBytes)], buffer[(size - NewKey.SignatureBytes)..size]);
        return size;
    }

    public bool TryOpen(in NewKey message, ReplicaId self, Span<byte> key)
    {
        Span<byte> signature = stackalloc byte[NewKey.SignatureBytes];
        Sign(message.Principal, message.Signed, signature);
        if (!signature.SequenceEqual(message.Signature))
        {
            return false;
        }
        Span<byte> pad = stackalloc byte[NewKey.WrappedKeyBytes];
        Pad(message.Principal, self.Value, message.Counter, pad);
        for (int i = 0; i < 16; i++)
        {
            key[i] = (byte)(message.WrappedKey(self)[i] ^ pad[i]);
        }
        return true;
    }

    public bool Verify(int principal, ReadOnlySpan<byte> header, ReadOnlySpan<byte> signature)
    {
        Span<byte> expected = stackalloc byte[NewKey.SignatureBytes];
        Sign(principal, header, expected);
        return expected.SequenceEqual(signature);
    }

    private void Pad(int from, int to, ulong counter, Span<byte> pad)
    {
        Span<byte> input = stackalloc byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(input, clusterSecret);
        BinaryPrimitives.WriteInt32LittleEndian(input[8..], from);
        BinaryPrimitives.WriteInt32LittleEndian(input[12..], to);
        BinaryPrimitives.WriteUInt64LittleEndian(input[16..], counter);
        SHA256.HashData(input, pad);
    }

    public void Sign(int self, ReadOnlySpan<byte> header, Span<byte> signature)
    {
        var input = new byte[12 + header.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(input, clusterSecret);
        BinaryPrimitives.WriteInt32LittleEndian(input.AsSpan(8), self);
        header.CopyTo(input.AsSpan(12));
        SHA256.HashData(input, signature);
        SHA256.HashData(signature[..32], signature[32..]);
    }
}

/// <summary>A stable store in memory that outlives restarts of its node.</summary>
public sealed class SimStableStore : IStableStore
{
    private View _view;

    public View LoadView() => _view;

    public void SaveView(View view) => _view = view;

    private readonly Dictionary<int, ulong> _counters = [];

    public ulong LoadCounter(int principal) => _counters.GetValueOrDefault(principal);

    public void SaveCounter(int principal, ulong counter) => _counters[principal] = counter;
}
