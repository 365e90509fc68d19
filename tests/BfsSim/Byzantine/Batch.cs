using System.Buffers.Binary;
using BfsCore;
using BfsCore.Messages;

namespace BfsSim.Byzantine;

/// <summary>A batch taken apart, to be put together otherwise with a digest that is right.</summary>
public sealed class Batch
{
    private const int MaxEntries = 1024;

    private Batch(PrePrepare message, MessageFormat format)
    {
        (View, Seq, TimeNanos, Primary) = (message.View, message.Seq, message.TimeNanos, message.Primary);
        PrePrepare.EntryReader reader = message.Entries(format);
        while (reader.Next())
        {
            byte[] bytes;
            if (reader.InlineBytes > 0)
            {
                bytes = new byte[4 + reader.InlineBytes];
                PrePrepare.AppendInline(bytes, 0, message.Payload.Slice(reader.InlineOffset, reader.InlineBytes));
            }
            else
            {
                bytes = new byte[PrePrepare.SeparateEntryBytes];
                PrePrepare.AppendSeparate(bytes, 0, reader.Client, reader.Slot, reader.Digest);
            }
            Entries.Add((bytes, reader.Client, reader.Digest));
        }
    }

    public View View { get; set; }
    public SeqNum Seq { get; set; }
    public long TimeNanos { get; set; }
    public ReplicaId Primary { get; }
    public List<(byte[] Bytes, ClientId Client, Digest Digest)> Entries { get; } = [];

    public static Batch? TryRead(byte[] message, MessageFormat format) =>
        PrePrepare.TryParse(message, format, out PrePrepare prePrepare) ? new Batch(prePrepare, format) : null;

    /// <summary>The message, authentic; a batch without requests is the null batch.</summary>
    public byte[] Write(FaultyReplica self) => Write(self, Primary.Value);

    /// <summary>The same under the name of another primary.</summary>
    public byte[] Write(FaultyReplica self, int primary)
    {
        BfsAssert.That(Entries.Count <= MaxEntries);
        int payload = Entries.Sum(e => e.Bytes.Length);
        var message = new byte[PrePrepare.SizeFor(payload, self.Format)];
        var scratch = new byte[12 + (Entries.Count * Digest.SizeBytes)];
        int at = PrePrepare.HeaderBytes;
        for (int i = 0; i < Entries.Count; i++)
        {
            Entries[i].Bytes.CopyTo(message, at);
            at += Entries[i].Bytes.Length;
            Entries[i].Digest.Write(scratch.AsSpan(12 + (i * Digest.SizeBytes)));
        }
        long time = Entries.Count == 0 ? 0 : TimeNanos;
        Digest digest = PrePrepare.BatchDigest(time, Entries.Count, scratch);
        PrePrepare.WriteHeader(message, self.Format, View, Seq, time, digest, Entries.Count, new ReplicaId(primary), payload);
        return self.Seal(message);
    }

    /// <summary>The digest that a PRE-PREPARE names.</summary>
    public static Digest DigestOf(byte[] prePrepare) => Digest.Read(prePrepare.AsSpan(32));

    /// <summary>Puts another digest, of a batch or a state, into a vote: the message must be a copy.</summary>
    public static byte[] WithDigest(FaultyReplica self, byte[] vote, in Digest digest)
    {
        digest.Write(vote.AsSpan(FaultyReplica.TagOf(vote) == MessageTag.Checkpoint ? 16 : 24));
        return self.Seal(vote);
    }

    public static (long View, long Seq) NumbersOf(byte[] message) =>
        (BinaryPrimitives.ReadInt64LittleEndian(message.AsSpan(8)), BinaryPrimitives.ReadInt64LittleEndian(message.AsSpan(16)));
}
