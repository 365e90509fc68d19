using System.Buffers.Binary;
using System.Security.Cryptography;
using BfsCore.Crypto;

namespace BfsCore.Hosting;

/// <summary>
/// A counter on disk that never goes back (§4.2): values are reserved in blocks before the first of them is used, so that
/// a crash skips some and repeats none. The file holds the end of the reserved block, then its complement as a check.
/// </summary>
public sealed class FileCounter
{
    private const ulong BlockSize = 1024;
    private const int FileBytes = 16;

    private readonly string _path;
    private ulong _last;
    private ulong _reserved;

    /// <exception cref="ClusterFileException">The file is damaged.</exception>
    public FileCounter(string path)
    {
        _path = path;
        _last = _reserved = Load(path);
    }

    /// <summary>Greater than every value returned before, in this life and earlier ones; the first is 1.</summary>
    /// <exception cref="IOException">A new block cannot be reserved: the disk is full, for example.</exception>
    public ulong Next()
    {
        if (_last == _reserved)
        {
            ulong end = checked(_reserved + BlockSize);
            Span<byte> content = stackalloc byte[FileBytes];
            BinaryPrimitives.WriteUInt64LittleEndian(content, end);
            BinaryPrimitives.WriteUInt64LittleEndian(content[8..], ~end);
            DurableFile.Replace(_path, content);
            _reserved = end;
        }
        return ++_last;
    }

    private static ulong Load(string path)
    {
        if (!File.Exists(path))
        {
            return 0;
        }
        byte[] content = File.ReadAllBytes(path);
        if (content.Length != FileBytes
            || BinaryPrimitives.ReadUInt64LittleEndian(content) != ~BinaryPrimitives.ReadUInt64LittleEndian(content.AsSpan(8)))
        {
            throw new ClusterFileException($"{path}: this counter is damaged; it must never go back, so it cannot be "
                + "guessed: make new keys for this principal, or restore the file from a copy that is not older than it");
        }
        return BinaryPrimitives.ReadUInt64LittleEndian(content);
    }
}

/// <summary>A signer whose key and counter are in files and whose work is done in this process.</summary>
public sealed class FileSigner : ISigner, IDisposable
{
    private readonly KeySigner _signer;

    private FileSigner(ECParameters key, FileCounter counter) => _signer = new KeySigner(key, counter.Next);

    /// <summary>The signer of a replica; its directory is made if there is none.</summary>
    /// <exception cref="ClusterFileException">The key or the counter cannot be used.</exception>
    public static FileSigner ForReplica(ClusterDirectory directory, ClusterConfig config, ReplicaId id)
    {
        Directory.CreateDirectory(directory.Replica(id));
        ECParameters key = KeyFiles.Read(directory.ReplicaKey(id), config.Replicas[id.Value].PublicKey.Span);
        return new FileSigner(key, new FileCounter(directory.SignerCounter(id)));
    }

    /// <summary>The signer of a client; the directory of its files is made if there is none.</summary>
    /// <exception cref="ClusterFileException">The client is unknown, or its key or counter cannot be used.</exception>
    public static FileSigner ForClient(ClusterDirectory directory, ClusterConfig config, ClientId id)
    {
        ClientInfo client = config.FindClient(id)
            ?? throw new ClusterFileException($"{directory.ClusterFile}: there is no {id}; clients are "
                + $"{Limits.FirstClientId} to {Limits.FirstClientId + config.Clients.Count - 1}");
        Directory.CreateDirectory(directory.Clients);
        ECParameters key = KeyFiles.Read(directory.ClientKey(id), client.PublicKey.Span);
        return new FileSigner(key, new FileCounter(directory.SignerCounter(id)));
    }

    public ulong NextCounter() => _signer.NextCounter();

    public void Sign(ReadOnlySpan<byte> message, Span<byte> signature) => _signer.Sign(message, signature);

    public bool TryAgree(ReadOnlySpan<byte> ephemeralPublicKey, Span<byte> sharedSecret) =>
        _signer.TryAgree(ephemeralPublicKey, sharedSecret);

    public void Dispose() => _signer.Dispose();
}
