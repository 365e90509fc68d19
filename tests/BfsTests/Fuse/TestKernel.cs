using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using BfsClient.Fuse;

namespace BfsTests.Fuse;

/// <summary>The kernel's side of a session: encodes requests as the kernel does, and keeps what is sent to it.</summary>
internal sealed class TestKernel : IFuseReplies
{
    private readonly FileSystemFixture _fixture;
    private ulong _unique = 2;

    public TestKernel(FileSystemFixture fixture, bool strict = false, Func<uint, bool>? isKilled = null, Action<Action>? later = null)
    {
        _fixture = fixture;
        FuseSessionOptions options = new()
        {
            AttributeMicros = 1_000_000,
            EntryMicros = 1_000_000,
            Strict = strict,
            ReadaheadBytes = 1 << 20,
        };
        Session = new FuseSession(fixture.Files, this, options, isKilled ?? (_ => false), later ?? (_ => { }));
    }

    public FuseSession Session { get; }

    /// <summary>Replies and notifications, in order.</summary>
    public List<byte[]> Sent { get; } = [];

    public void Send(ReadOnlySpan<byte> message)
    {
        Assert.Equal(message.Length, (int)MemoryMarshal.Read<FuseOutHeader>(message).Length);
        Sent.Add(message.ToArray());
    }

    /// <summary>One request, and the reply to it once nothing is under way any more.</summary>
    public (int Error, byte[] Body) Ask(FuseOpcode opcode, ulong node, params byte[][] parts)
    {
        ulong unique = _unique += 2;
        Receive(Message(opcode, node, unique, [.. parts.SelectMany(p => p)]));
        Settle();
        byte[]? reply = Sent.LastOrDefault(m => MemoryMarshal.Read<FuseOutHeader>(m).Unique == unique);
        return reply is null ? (0, []) : (MemoryMarshal.Read<FuseOutHeader>(reply).Error, reply[16..]);
    }

    public void Receive(byte[] message)
    {
        // As on a relay's thread: continuations run where the operation completes.
        SynchronizationContext.SetSynchronizationContext(null);
        Session.Receive(message);
    }

    public void Settle()
    {
        while (_fixture.Invoker.Outstanding > 0)
        {
            _fixture.Loop.RunOnce();
        }
    }

    public static bool IsNotification(byte[] message) => MemoryMarshal.Read<FuseOutHeader>(message).Unique == 0;

    public static byte[] Message(FuseOpcode opcode, ulong node, ulong unique, byte[] body, uint pid = 0)
    {
        FuseInHeader header = new()
        {
            Length = (uint)(40 + body.Length),
            Opcode = opcode,
            Unique = unique,
            NodeId = node,
            Pid = pid,
        };
        return [.. Bytes(header), .. body];
    }

    public static byte[] Bytes<T>(T value)
        where T : unmanaged
    {
        byte[] bytes = new byte[Unsafe.SizeOf<T>()];
        MemoryMarshal.Write(bytes, in value);
        return bytes;
    }

    public static byte[] Name(string name) => [.. Encoding.UTF8.GetBytes(name), 0];
}
