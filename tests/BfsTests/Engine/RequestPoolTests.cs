using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>Copies of requests that wait, in buffers of two sizes; a signed copy replaces an unsigned one (§3.2.2).</summary>
public sealed class RequestPoolTests
{
    [Fact]
    public void A_signed_copy_has_room_whatever_the_size_of_the_operation()
    {
        var pool = new RequestPool(MessageFormat.Macs(4), 255);
        foreach (int bytes in Enumerable.Range(0, 1200).Append(Limits.MaxOperationBytes))
        {
            byte[] buffer = new byte[Request.SizeFor(bytes, MessageFormat.Macs(4)) + Request.SignatureBytes];
            int size = Request.Write(buffer, MessageFormat.Macs(4), new ClientId(1024), 0, false, 5, 6, 0, RequestFlags.None, new byte[bytes]);
            Assert.True(Request.TryParse(buffer.AsSpan(0, size), MessageFormat.Macs(4), out Request unsigned));
            StoredRequest stored = pool.Keep(unsigned, 0, authentic: true);
            Assert.Equal(buffer.Length, Request.MarkSigned(buffer, size));
            Assert.True(Request.TryParse(buffer, MessageFormat.Macs(4), out Request signed));
            RequestPool.Replace(stored, signed, proven: true);
            Assert.Equal(buffer, stored.Message);
            pool.Release(stored);
        }
        Assert.Equal(0, pool.InUseBytes);
    }
}
