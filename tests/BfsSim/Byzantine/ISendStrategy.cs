namespace BfsSim.Byzantine;

/// <summary>
/// How a faulty node treats what the engine in it sends, for each destination on its own: pass it on, change it, drop it,
/// send several. The engine itself stays as compiled.
/// </summary>
public interface ISendStrategy
{
    /// <param name="to">The destination's address.</param>
    /// <param name="message">Shared with other destinations: copy it to change it.</param>
    /// <param name="send">Sends a message to that destination; may be called any number of times.</param>
    void Send(int to, byte[] message, Action<byte[]> send);
}

/// <summary>A strategy that also looks at what reaches its node, before the engine does.</summary>
public interface IListener
{
    /// <param name="from">The sender's address.</param>
    /// <param name="message">Shared with the engine: not to be changed.</param>
    void Hear(int from, byte[] message);
}
