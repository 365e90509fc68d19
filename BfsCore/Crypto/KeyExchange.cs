using System.Buffers.Binary;
using System.Security.Cryptography;
using BfsCore.Messages;

namespace BfsCore.Crypto;

/// <summary>
/// Signed requests, and making and opening NEW-KEY messages (§4.3.1): a fresh ephemeral P-256 key, ECDH with each receiver's long-term key,
/// HKDF-SHA-256 over both identities and the counter, AES-128-GCM around the session key. The ephemeral key is random, so
/// each wrapping key is used once and the nonce can be constant.
/// </summary>
public sealed class KeyExchange(ClusterConfig config, ISigner signer) : IKeyExchange
{
    private const int SecretBytes = 32;

    // Preparing a key costs a good part of what a check does.
    private readonly Dictionary<int, PublicKey> _verifiers = [];

    public ulong NextCounter() => signer.NextCounter();

    public int Create(Span<byte> buffer, int principal, ulong counter, ulong session, ReadOnlySpan<byte> keys)
    {
        int n = config.N;
        using var ephemeral = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        byte[] point = PublicKeys.ToPoint(ephemeral.ExportParameters(false).Q);
        int size = NewKey.WriteHeader(buffer, n, principal, counter, session, point);
        for (int j = 0; j < n; j++)
        {
            if (j != principal && PublicKeys.ParsePoint(config.Replicas[j].PublicKey.Span) is { } parameters)
            {
                using var receiver = ECDiffieHellman.Create(parameters);
                byte[] secret = ephemeral.DeriveRawSecretAgreement(receiver.PublicKey);
                Span<byte> wrapped = buffer.Slice(NewKey.HeaderBytes + (j * NewKey.WrappedKeyBytes), NewKey.WrappedKeyBytes);
                Wrap(secret, principal, j, counter, keys.Slice(j * MacKey.KeyBytes, MacKey.KeyBytes), wrapped);
            }
        }
        int signedBytes = size - NewKey.SignatureBytes;
        signer.Sign(buffer[..signedBytes], buffer[signedBytes..size]);
        return size;
    }

    public bool TryOpen(in NewKey message, ReplicaId self, Span<byte> key)
    {
        Span<byte> secret = stackalloc byte[SecretBytes];
        if (!PublicKeys.Verify(PublicKeyOf(message.Principal), message.Signed, message.Signature)
            || !signer.TryAgree(message.EphemeralPublicKey, secret))
        {
            return false;
        }
        Span<byte> wrappingKey = stackalloc byte[16];
        DeriveWrappingKey(secret, message.Principal, self.Value, message.Counter, wrappingKey);
        ReadOnlySpan<byte> wrapped = message.WrappedKey(self);
        try
        {
            using var aes = new AesGcm(wrappingKey, 16);
            aes.Decrypt(stackalloc byte[12], wrapped[..16], wrapped[16..], key);
            return true;
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    public void Sign(int self, ReadOnlySpan<byte> header, Span<byte> signature) => signer.Sign(header, signature);

    public bool Verify(int principal, ReadOnlySpan<byte> header, ReadOnlySpan<byte> signature)
    {
        if (!_verifiers.TryGetValue(principal, out PublicKey? key))
        {
            // Names that the cluster file does not know are not remembered: anybody can make up more of them.
            ReadOnlySpan<byte> point = PublicKeyOf(principal);
            if (point.IsEmpty)
            {
                return false;
            }
            _verifiers[principal] = key = new PublicKey(point);
        }
        return key.Verify(header, signature);
    }

    /// <summary>
    /// The two directions' keys between client and replica, from the one secret that the client's NEW-KEY carries
    /// (pitfall 38: one key per direction).
    /// </summary>
    public static (MacKey ClientToReplica, MacKey ReplicaToClient) DeriveClientKeys(ReadOnlySpan<byte> secret)
    {
        Span<byte> key = stackalloc byte[MacKey.KeyBytes];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, key, default, "bfs client to replica"u8);
        var toReplica = new MacKey(key);
        HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, key, default, "bfs replica to client"u8);
        return (toReplica, new MacKey(key));
    }

    private ReadOnlySpan<byte> PublicKeyOf(int principal) =>
        principal < config.N
            ? config.Replicas[principal].PublicKey.Span
            : config.FindClient(new ClientId(principal)) is { } client ? client.PublicKey.Span : default;

    private static void Wrap(ReadOnlySpan<byte> secret, int sender, int receiver, ulong counter, ReadOnlySpan<byte> key,
        Span<byte> wrapped)
    {
        Span<byte> wrappingKey = stackalloc byte[16];
        DeriveWrappingKey(secret, sender, receiver, counter, wrappingKey);
        using var aes = new AesGcm(wrappingKey, 16);
        aes.Encrypt(stackalloc byte[12], key, wrapped[..16], wrapped[16..]);
    }

    private static void DeriveWrappingKey(ReadOnlySpan<byte> secret, int sender, int receiver, ulong counter, Span<byte> key)
    {
        Span<byte> info = stackalloc byte[32];
        "bfs new-key"u8.CopyTo(info);
        BinaryPrimitives.WriteInt32LittleEndian(info[16..], sender);
        BinaryPrimitives.WriteInt32LittleEndian(info[20..], receiver);
        BinaryPrimitives.WriteUInt64LittleEndian(info[24..], counter);
        HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, key, default, info);
    }
}
