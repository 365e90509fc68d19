using System.Text;
using BfsSim.Services;

namespace BfsSim.Checkers;

/// <summary>
/// What <see cref="KeyValueService"/> does to one key, written a second time and plainly. The state is "absent" or "=" and
/// the value.
/// </summary>
public sealed class KeyValueModel : ISequentialModel
{
    public string InitialState => "absent";

    public bool ChangedNothing(byte[] operation, byte[] result) =>
        operation[0] == 'g' || result.AsSpan().SequenceEqual([KeyValueService.Refused]);

    public string ObjectOf(byte[] operation) => Encoding.Latin1.GetString(operation, 2, operation[1]);

    public (string State, byte[] Result) Apply(string state, byte[] operation)
    {
        string value = Encoding.Latin1.GetString(operation, 2 + operation[1], operation.Length - 2 - operation[1]);
        bool exists = state != InitialState;
        string old = exists ? state[1..] : "";
        byte status = exists ? KeyValueService.Ok : KeyValueService.Absent;
        (string State, byte[] Result) refused = (state, [KeyValueService.Refused]);
        switch ((char)operation[0])
        {
            case 'g':
                return (state, [status, .. Encoding.Latin1.GetBytes(old)]);
            case 'p':
                return value.Length > KeyValueService.MaxValueBytes
                    ? refused
                    : ("=" + value, [status, .. Encoding.Latin1.GetBytes(old)]);
            default:
                return old.Length + value.Length > KeyValueService.MaxValueBytes
                    ? refused
                    : ("=" + old + value, [status, .. Encoding.Latin1.GetBytes(old + value)]);
        }
    }
}
