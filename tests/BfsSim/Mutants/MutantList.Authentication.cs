namespace BfsSim.Mutants;

/// <summary>Who said something, and whether it is what was meant.</summary>
public static partial class MutantList
{
    private const string KeysFile = "BfsCore/Crypto/ReplicaKeys.cs";

    private static readonly Mutant[] _authentication =
    [
        new("replica-mac", "MACs of replicas are checked", "§3.2.1", KeysFile,
            "_fromReplica[from.Value] is { } key && key.Verify(header, OwnTag(authenticator));", "_fromReplica[from.Value] is not null;"),
        new("client-mac", "MACs of clients are checked", "§3.2.2", KeysFile,
            "_fromClient[clientIndex] is { } key && key.Verify(request.Header, OwnTag(request.Authenticator))", "_fromClient[clientIndex] is not null"),
        new("reply-mac", "clients check the MACs of replies", "§3.2.2", "BfsCore/Client/BftClient.cs",
            "|| !IsAuthentic(reply))", "|| (reply.Timestamp == 0 && !IsAuthentic(reply)))"),
        new("request-digest", "a request's digest is that of its content", "§3.2.2, pitfall 8", "BfsCore/Messages/Request.cs",
            "=> ComputeDigest(Message, OperationBytes) == Digest;", "=> OperationBytes >= 0;"),
        new("batch-digest", "a pre-prepare's digest is that of its batch", "§2.3.3, pitfall 8", NormalFile,
            "|| PrePrepare.BatchDigest(prePrepare.TimeNanos, entry.ItemCount, _scratch) != prePrepare.Digest)", "|| entry.ItemCount < 0)"),
        new("fetched-batch-digest", "a batch that was asked for has the digest it was asked by", "§3.2.4", "BfsCore/Replica/OldBatches.cs",
            "            || prePrepare.Digest != wanted)", "            || prePrepare.RequestCount < 0)"),
        new("condition-2", "a backup prepares a batch it cannot authenticate only after f others did", "§3.2.2", NormalFile,
            "OthersPrepared(entry) >= _config.F) || I", "OthersPrepared(entry) >= 0) || I"),
        new("result-digest", "a result is used only with the digest that 2f+1 replicas named", "§5.1.1", "BfsCore/Client/BftClient.cs",
            "=> ContentDigest.Of(reply.Result) == reply.Digest;", "=> reply.HasResult;"),
        new("time-bound", "a proposed time is near the backup's own clock", "§5.4, pitfall 11", NormalFile,
            "return (prePrepare.TimeNanos >= _now.WallNanos - skewNanos && prePrepare.TimeNanos <= _now.WallNanos + skewNanos)", "return skewNanos >= 0"),
    ];
}
