using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>Copies of requests that wait, in buffers of about their size; a signed copy replaces an unsigned one (§3.2.2).</summary>
public sealed class RequestPoolTests
{
    [Fact]
    public void A_signed_copy_has_room_whatever_the_size_of_the_operation()
    {
        var pool = new RequestPool(MessageFormat.Macs(4));
        foreach (int bytes in Enumerable.Range(0, Limits.MaxOperationBytes + 1).Where(n => n < 1200 || n % 61 == 0))
        {
            byte[] buffer = new byte[Request.SizeFor(bytes, MessageFormat.Macs(4)) + Request.SignatureBytes];
            int size = Request.Write(buffer, MessageFormat.Macs(4), new ClientId(1024), 0, false, 5, 6, 0, RequestFlags.None, new byte[bytes]);
            Assert.True(Request.TryParse(buffer.AsSpan(0, size), MessageFormat.Macs(4), out Request unsigned));
            StoredRequest stored = pool.Keep(unsigned, 0, authentic: true);
            Assert.Equal(buffer.Length, Request.MarkSigned(buffer, size));
            Assert.True(Request.TryParse(buffer, MessageFormat.Macs(4), out Request signed));
            RequestPool.Replace(stored, signed, proven: true);
            Assert.Equal(buffer, stored.Message);
            Assert.InRange(pool.InUseBytes, buffer.Length, Math.Max(640, (buffer.Length * 5 / 4) + 1));
            pool.Release(stored);
            Assert.Same(stored, pool.Keep(unsigned, 0, authentic: true));
            pool.Release(stored);
        }
        Assert.Equal(0, pool.InUseBytes);
    }

    /// <summary>What is let go of beyond that is the garbage collector's.</summary>
    [Fact]
    public void No_more_than_128_MiB_are_kept_for_later()
    {
        var pool = new RequestPool(MessageFormat.Macs(4));
        byte[] buffer = new byte[Request.SizeFor(Limits.MaxOperationBytes, MessageFormat.Macs(4))];
        _ = Request.Write(buffer, MessageFormat.Macs(4), new ClientId(1024), 0, false, 5, 6, 0, RequestFlags.None, new byte[Limits.MaxOperationBytes]);
        Assert.True(Request.TryParse(buffer, MessageFormat.Macs(4), out Request request));
        var first = new HashSet<StoredRequest>();
        for (int i = 0; i < 2100; i++)
        {
            first.Add(pool.Keep(request, 0, authentic: true));
        }
        long each = pool.InUseBytes / first.Count;
        foreach (StoredRequest stored in first)
        {
            pool.Release(stored);
        }
        int again = 0;
        for (int i = 0; i < 2100; i++)
        {
            again += first.Contains(pool.Keep(request, 0, authentic: true)) ? 1 : 0;
        }
        Assert.Equal((128 << 20) / each, again);
    }
}
