using System.Diagnostics.CodeAnalysis;

namespace BfsSim;

/// <summary>Something that must never happen did: safety, liveness, bounds, or the simulation itself.</summary>
public class SimulationException : Exception
{
    public SimulationException() { }
    public SimulationException(string message) : base(message) { }
    public SimulationException(string message, Exception inner) : base(message, inner) { }

    public static void Require([DoesNotReturnIf(false)] bool condition, string message)
    {
        if (!condition)
        {
            throw new SimulationException(message);
        }
    }
}

/// <summary>What had to happen has not, though nothing wrong did.</summary>
public sealed class NoProgressException(string message) : SimulationException(message)
{
    public static new void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new NoProgressException(message);
        }
    }
}
