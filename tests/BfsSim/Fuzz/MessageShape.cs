using BfsCore.Messages;

namespace BfsSim.Fuzz;

/// <summary>How a kind of message is made authentic.</summary>
internal enum Proof
{
    None,

    /// <summary>One MAC for each replica, last in the message.</summary>
    Replicas,

    /// <summary>One MAC for the receiver, last in the message.</summary>
    Receiver,

    /// <summary>As <see cref="Replicas"/>, by a client, and perhaps its signature after them.</summary>
    Client,

    /// <summary>The signature of a NEW-KEY.</summary>
    Signature,
}

/// <summary>
/// Where the fields are that steer a handler: offsets of the view, of a sequence number, of the sender (u16), of a time or
/// another number, of counts (u16); the end of the fixed header, and where it has the digest of the payload. Negative: none.
/// </summary>
internal readonly record struct MessageShape(int View, int Seq, int Sender, int Other, int Counts, int CountFields, int Header,
    int PayloadDigest, Proof Proof)
{
    private static readonly MessageShape Unknown = new(-1, -1, -1, -1, -1, 0, 8, -1, Proof.None);

    public static MessageShape Of(MessageTag tag) => tag switch
    {
        MessageTag.Request => new(-1, -1, 8, 64, 52, 1, Request.HeaderBytes, -1, Proof.Client),
        MessageTag.Reply => new(8, -1, 38, 24, 36, 1, Reply.HeaderBytes, -1, Proof.Receiver),
        MessageTag.PrePrepare => new(8, 16, 66, 24, 64, 1, PrePrepare.HeaderBytes, -1, Proof.Replicas),
        MessageTag.Prepare or MessageTag.Commit => new(8, 16, 56, -1, -1, 0, Vote.HeaderBytes, -1, Proof.Replicas),
        MessageTag.Checkpoint => new(-1, 8, 48, -1, -1, 0, Checkpoint.HeaderBytes, -1, Proof.Replicas),
        MessageTag.ViewChange => new(8, 16, 24, -1, 26, 3, ViewChange.HeaderBytes, 32, Proof.Replicas),
        MessageTag.ViewChangeAck => new(8, -1, 16, -1, 18, 1, ViewChangeAck.HeaderBytes, -1, Proof.Replicas),
        MessageTag.NewView => new(8, 16, 56, -1, 58, 2, NewView.HeaderBytes, 64, Proof.Replicas),
        MessageTag.NewKey => new(-1, -1, 8, 16, -1, 0, NewKey.HeaderBytes, -1, Proof.Signature),
        MessageTag.StatusActive => new(8, 24, 32, 16, 34, 1, StatusActive.HeaderBytes, 40, Proof.Replicas),
        MessageTag.StatusPending => new(8, 16, 24, 32, 26, 2, StatusPending.HeaderBytes, 40, Proof.Replicas),
        MessageTag.Fetch => new(-1, 8, 20, 32, 16, 1, Fetch.HeaderBytes, -1, Proof.Receiver),
        MessageTag.MetaData => new(-1, 8, 20, 24, 16, 1, MetaData.HeaderBytes, -1, Proof.None),
        MessageTag.Data => new(-1, 8, -1, 16, -1, 0, Data.HeaderBytes, -1, Proof.None),
        MessageTag.Batch => new(-1, 8, -1, 16, -1, 0, BatchMessage.HeaderBytes, -1, Proof.None),
        MessageTag.Relay => new(-1, -1, 8, 12, -1, 0, Relay.HeaderBytes, -1, Proof.Receiver),
        MessageTag.KeyRequest => new(-1, -1, 8, 16, -1, 0, KeyRequest.SizeBytes, -1, Proof.None),
        _ => Unknown,
    };
}
