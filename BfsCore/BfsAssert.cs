using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace BfsCore;

/// <summary>Our own bug, never a peer's doing: hostile input gives a reason to drop, a broken invariant gives this.</summary>
public sealed class BfsAssertException : Exception
{
    public BfsAssertException() { }
    public BfsAssertException(string message) : base(message) { }
    public BfsAssertException(string message, Exception inner) : base(message, inner) { }
}

/// <summary>Assertions that are on in Release too.</summary>
public static class BfsAssert
{
    public static void That([DoesNotReturnIf(false)] bool condition,
        [CallerArgumentExpression(nameof(condition))] string? expression = null)
    {
        if (!condition)
        {
            Fail(expression ?? "");
        }
    }

    [DoesNotReturn]
    public static void Fail(string expression) => throw new BfsAssertException("assertion failed: " + expression);
}
