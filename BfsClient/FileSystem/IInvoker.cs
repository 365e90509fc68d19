using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>What came back for an operation of the file protocol.</summary>
/// <param name="Status">The agreed status, or EIO after the soft timeout, or EINTR when cancelled before it was sent.</param>
/// <param name="BodyBytes">How much of the caller's buffer the result's body fills.</param>
public readonly record struct InvokeResult(Errno Status, int BodyBytes);

/// <summary>
/// One call of a front end, by which its operations are found again when the caller is interrupted. A call may have many
/// operations under way.
/// </summary>
public class CallToken
{
    /// <summary>Whether the caller gave up: operations that were not sent yet end with EINTR.</summary>
    public bool Interrupted { get; set; }
}

/// <summary>
/// The way from the relay to the replicated service. Used by the loop's thread only; awaiting code continues on that
/// thread, inside the event that completed the operation.
/// </summary>
public interface IInvoker
{
    /// <summary>Operations under way or waiting for a slot.</summary>
    int Outstanding { get; }

    /// <summary>
    /// Has an operation executed. Operations that are under way at the same time are ordered as the replicas please: who
    /// needs an order waits in between.
    /// </summary>
    /// <param name="operation">Encoded as docs/file-protocol.md says; stays unchanged until the result is there.</param>
    /// <param name="readOnly">The operation does not change the state, so the read-only path may be tried (§5.1.3).</param>
    /// <param name="body">Receives the result's body; a longer body ends with EIO.</param>
    /// <param name="call">What it is done for; null if nobody can interrupt it.</param>
    ValueTask<InvokeResult> InvokeAsync(ReadOnlyMemory<byte> operation, bool readOnly, Memory<byte> body,
        CallToken? call = null);

    /// <summary>Ends the operations of an interrupted call that still wait for a slot, with EINTR.</summary>
    void CancelQueued(CallToken call);
}
