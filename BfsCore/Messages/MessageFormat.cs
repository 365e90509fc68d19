namespace BfsCore.Messages;

/// <summary>
/// What the layout of a cluster's messages depends on: how many replicas there are, and with what messages are authenticated. With
/// MACs a message to all carries an authenticator, one tag for each replica (§3.2.1); in BFT-PK one signature, which is good
/// for all of them (§2.3).
/// </summary>
public readonly record struct MessageFormat
{
    /// <summary>Bytes of a signature (ECDSA P-256, IEEE P1363).</summary>
    public const int SignatureBytes = 64;

    private MessageFormat(int n, bool signed)
    {
        N = n;
        Signed = signed;
        AuthenticatorBytes = signed ? SignatureBytes : n * MessageHeader.TagBytes;
        ReplyProofBytes = signed ? SignatureBytes : MessageHeader.TagBytes;
    }

    public int N { get; }

    /// <summary>How many replicas may be faulty: n = 3f+1.</summary>
    public int F => (N - 1) / 3;

    /// <summary>BFT-PK: signatures instead of MACs.</summary>
    public bool Signed { get; }

    /// <summary>Bytes at the end of a message that goes to all replicas.</summary>
    public int AuthenticatorBytes { get; }

    /// <summary>Bytes at the end of a reply: one MAC, or a signature.</summary>
    public int ReplyProofBytes { get; }

    public static MessageFormat Macs(int n) => new(n, signed: false);

    public static MessageFormat Signatures(int n) => new(n, signed: true);
}
