namespace BfsSim.Byzantine;

/// <summary>Says nothing.</summary>
public sealed class Mute : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
    }
}

/// <summary>Speaks to some, never to others.</summary>
public sealed class Selective(SimRandom random) : ISendStrategy
{
    private readonly ulong _spokenTo = random.NextUInt64();

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if ((_spokenTo & (1UL << (to % 64))) != 0)
        {
            send(message);
        }
    }
}

/// <summary>Flips a bit in every other message, for each destination another one.</summary>
public sealed class Garbler(SimRandom random) : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        var changed = (byte[])message.Clone();
        if (random.PerMille(500))
        {
            changed[random.Below(changed.Length)] ^= (byte)(1 << random.Below(8));
        }
        send(changed);
    }
}

/// <summary>Sends, beside each message, an old one, perhaps meant for somebody else.</summary>
public sealed class Replayer(SimRandom random) : ISendStrategy
{
    private const int Remembered = 500;

    private readonly List<byte[]> _old = [];

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        send(message);
        if (_old.Count < Remembered)
        {
            _old.Add(message);
        }
        else
        {
            _old[random.Below(Remembered)] = message;
        }
        send(_old[random.Below(_old.Count)]);
    }
}
