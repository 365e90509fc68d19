using System.Text;

namespace BfsSim.Nodes;

/// <summary>Operations of the key-value service, drawn from a seed. Every value is written once, so results tell much.</summary>
/// <param name="keys">How the names of keys begin: clients whose histories are not known use others.</param>
public sealed class KeyValueWorkload(SimOptions options, SimRandom random, string keys = "key") : IWorkload
{
    private const int LargestOperationBytes = 60_000;

    private int _values;

    public int Remaining { get; set; } = options.Operations;

    public (byte[] Operation, bool ReadOnly) Next()
    {
        Remaining--;
        byte[] key = Encoding.ASCII.GetBytes($"{keys}{random.Below(options.Keys)}");
        if (random.PerMille(options.ReadsPerMille))
        {
            return ([(byte)'g', (byte)key.Length, .. key], !random.PerMille(200));
        }
        byte kind = random.Choose((byte)'p', (byte)'p', (byte)'a');
        byte[] value = Encoding.ASCII.GetBytes($"<{_values++}>".PadRight(ValueBytes(), '.'));
        // Sometimes a write that claims to be read-only: it must be ordered all the same.
        return ([kind, (byte)key.Length, .. key, .. value], random.PerMille(10));
    }

    public void Completed(byte[] operation, ReadOnlySpan<byte> result)
    {
        // What comes next does not depend on it.
    }

    private int ValueBytes()
    {
        if (!random.PerMille(options.LargeValuesPerMille))
        {
            return random.Below(40);
        }
        // The last kind is more than the service takes: refused, but carried.
        return random.Choose(random.Below(400), random.Below(4000), random.Below(LargestOperationBytes));
    }
}
