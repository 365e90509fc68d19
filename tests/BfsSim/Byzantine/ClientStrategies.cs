using BfsCore;
using BfsCore.Messages;

namespace BfsSim.Byzantine;

/// <summary>Requests whose MACs are right for some replicas and wrong for others (pitfall 1).</summary>
public sealed class PartialMacs(FaultyClient self) : ISendStrategy
{
    private readonly ulong _wrongFor = self.Random.NextUInt64();
    private readonly bool _always = self.Random.PerMille(500);

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (self.TryRead(message, out Request request))
        {
            for (int i = 0; i < 64 && Request.HeaderBytes + request.OperationBytes + ((i + 1) * MessageHeader.TagBytes) <= message.Length; i++)
            {
                if ((_wrongFor >> i & 1) != 0 && (_always || self.Random.PerMille(500)))
                {
                    message = self.WithWrongMac(message, request, i);
                }
            }
            self.Count(this);
        }
        send(message);
    }
}

/// <summary>Different requests under one timestamp to different replicas (pitfall 5).</summary>
public sealed class TwoFaced(FaultyClient self) : ISendStrategy
{
    private readonly ulong _group = self.Random.NextUInt64();

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if ((_group >> to & 1) != 0 && self.TryRead(message, out Request request) && request.OperationBytes > 0)
        {
            byte[] operation = request.Operation.ToArray();
            operation[^1]++;
            self.Count(this);
            message = self.Write(request, operation, request.ReadOnly, request.Slot, request.Timestamp);
        }
        send(message);
    }
}

/// <summary>Writes that claim to be reads, and reads that claim to be writes.</summary>
public sealed class Mislabeller(FaultyClient self) : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (self.TryRead(message, out Request request) && self.Random.PerMille(500))
        {
            self.Count(this);
            message = self.Write(request, request.Operation, !request.ReadOnly, request.Slot, request.Timestamp);
        }
        send(message);
    }
}

/// <summary>Many requests at once in all slots, under ever higher timestamps.</summary>
public sealed class Flooder(FaultyClient self) : ISendStrategy
{
    private const int Flood = 40;

    private ulong _timestamp = 1000;

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        send(message);
        if (self.TryRead(message, out Request request))
        {
            self.Count(this);
            for (int i = 0; i < Flood; i++)
            {
                send(self.Write(request, request.Operation, request.ReadOnly, self.Random.Below(request.Slot + 2), _timestamp++));
            }
        }
    }
}

/// <summary>The last timestamp that there is, and timestamps that go back (pitfall 3).</summary>
public sealed class LastTimestamp(FaultyClient self) : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (self.TryRead(message, out Request request))
        {
            self.Count(this);
            message = self.Write(request, request.Operation, request.ReadOnly, request.Slot,
                self.Random.Choose<ulong>(ulong.MaxValue, ulong.MaxValue, ulong.MaxValue - 1, 0));
        }
        send(message);
    }
}

/// <summary>Operations that mean nothing, some of them as long as may be.</summary>
public sealed class Babbler(FaultyClient self) : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (self.TryRead(message, out Request request) && self.Random.PerMille(700))
        {
            var operation = new byte[self.Random.Choose(0, 1, 7, 100, Limits.MaxOperationBytes)];
            self.Random.Fill(operation);
            self.Count(this);
            message = self.Write(request, operation, request.ReadOnly, request.Slot, request.Timestamp);
        }
        send(message);
    }
}

/// <summary>Requests that only the primary can authenticate, and never a signature (§3.2.2).</summary>
public sealed class NeverSigner(FaultyClient self) : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (self.TryRead(message, out Request request) && !request.ReadOnly)
        {
            message = self.Write(request, request.Operation, readOnly: false, request.Slot, request.Timestamp);
            self.TryRead(message, out request);
            for (int i = 0; i < self.Replicas; i++)
            {
                message = i == self.Primary ? message : self.WithWrongMac(message, request, i);
            }
            self.Count(this);
        }
        send(message);
    }
}
