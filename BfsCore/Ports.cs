namespace BfsCore;

/// <summary>
/// Outgoing messages. Best effort: what cannot be sent is dropped; calls never block. The message's bytes are copied or
/// sent before the call returns.
/// </summary>
public interface INetwork
{
    void SendToReplica(ReplicaId to, ReadOnlySpan<byte> message);

    /// <summary>To all replicas except the sender itself.</summary>
    void MulticastToReplicas(ReadOnlySpan<byte> message);

    /// <summary>To the address last bound to the client; dropped when there is none.</summary>
    void SendToClient(ClientId to, ReadOnlySpan<byte> message);

    /// <summary>Back to where a datagram came from, authenticated or not; never larger than what it answers.</summary>
    void Answer(SourceAddress to, ReadOnlySpan<byte> message);

    /// <summary>From now on the client is reached at this address (called for authentic NEW-KEY messages only).</summary>
    void BindClient(ClientId client, SourceAddress address);
}

/// <summary>Fresh random bytes for keys and backoff: the operating system's in a process, the seed's in the simulator.</summary>
public interface IEntropy
{
    void Fill(Span<byte> bytes);
}

/// <summary>
/// The secure co-processor of §4.2: holds the private key, signs with a counter that never goes back, unwraps session
/// keys. In this process for now; the key holder of a later issue sits behind the same port.
/// </summary>
public interface ISigner
{
    /// <summary>The next counter value: greater than every one returned before, in this life and earlier ones.</summary>
    ulong NextCounter();

    /// <summary>Signs (ECDSA P-256 with SHA-256, 64 bytes, IEEE P1363).</summary>
    void Sign(ReadOnlySpan<byte> message, Span<byte> signature);

    /// <summary>Raw ECDH P-256 agreement of the long-term key with a peer's ephemeral public key (65 bytes): 32 bytes.</summary>
    bool TryAgree(ReadOnlySpan<byte> ephemeralPublicKey, Span<byte> sharedSecret);
}

/// <summary>
/// Public-key work of NEW-KEY messages (§4.3.1), of signed requests (§3.2.2) and of BFT-PK (§2.3): <see cref="Crypto.KeyExchange"/> in a process, a fast deterministic
/// stand-in in the simulator.
/// </summary>
public interface IKeyExchange
{
    /// <summary>As <see cref="ISigner.NextCounter"/>.</summary>
    ulong NextCounter();

    /// <summary>
    /// Writes and signs a NEW-KEY with <paramref name="keys"/> (n × 16 bytes; the entry of the sender itself is unused).
    /// </summary>
    /// <returns>Its size in bytes.</returns>
    int Create(Span<byte> buffer, int principal, ulong counter, ulong session, ReadOnlySpan<byte> keys);

    /// <summary>Checks the signature and unwraps the key (16 bytes) that is meant for this replica.</summary>
    bool TryOpen(in Messages.NewKey message, ReplicaId self, Span<byte> key);

    /// <summary>Signs the header of a message of this principal: a request (§3.2.2), or in BFT-PK any message (64 bytes).</summary>
    /// <param name="self">A replica's index or a client's identifier.</param>
    void Sign(int self, ReadOnlySpan<byte> header, Span<byte> signature);

    /// <summary>Checks a principal's signature of a header. Any bytes are allowed.</summary>
    bool Verify(int principal, ReadOnlySpan<byte> header, ReadOnlySpan<byte> signature);
}

/// <summary>
/// Small facts that must not be forgotten over a restart or a power failure: the counters of NEW-KEY messages accepted
/// (pitfall 36), and the view.
/// </summary>
public interface IStableStore
{
    /// <summary>The last counter accepted from the principal; zero when none is known.</summary>
    ulong LoadCounter(int principal);

    void SaveCounter(int principal, ulong counter);

    /// <summary>The highest view that this replica left for; zero at first.</summary>
    View LoadView();

    /// <summary>Must be on the disk when it returns: a replica that forgets what it sent in it must not vote below it.</summary>
    void SaveView(View view);
}

/// <summary>Takes the records of a log one after the other, in the order they were appended.</summary>
public delegate void LogRecordHandler(ReadOnlySpan<byte> record);

/// <summary>
/// Where a replica writes what it must not forget: batches, its votes for them, its view (pitfall 33). A record that was
/// appended survives the end of the process, however it ends; a power failure may take the last ones.
///
/// The log has generations: <see cref="Begin"/> starts an empty one, and until <see cref="Switch"/> makes it the valid one
/// a stop leaves the generation before.
/// </summary>
public interface IVoteLog
{
    /// <summary>Bytes appended to the present generation.</summary>
    long Bytes { get; }

    /// <summary>Room for the next record; it counts once <see cref="Append"/> was called.</summary>
    /// <exception cref="IOException">The disk is full. Nothing may be sent that the record was to remember.</exception>
    Span<byte> Reserve(int bytes);

    /// <summary>The reserved record is written.</summary>
    /// <exception cref="IOException">As for <see cref="Reserve"/>.</exception>
    void Append();

    /// <summary>Appends go to a new, empty generation.</summary>
    void Begin();

    /// <summary>Appends go to the valid generation again, and to the one that was begun beside it.</summary>
    void KeepBoth();

    /// <summary>The generation that was begun is the valid one.</summary>
    /// <exception cref="IOException">It has not taken all that was appended; the one before stays the valid one.</exception>
    void Switch();

    /// <summary>The generation that was begun is given up: appends go on where they went before.</summary>
    void Abandon();

    /// <summary>Reads the valid generation as it was found at the start.</summary>
    void Read(LogRecordHandler handler);
}
