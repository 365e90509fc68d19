using System.Diagnostics.CodeAnalysis;

namespace BfsClient.FileSystem;

/// <summary>
/// Buffers for contents that come with an opening: a bounded number, so that files that are opened and not read take no more
/// memory than that. When all are in use, one is taken from a file, in turn.
/// </summary>
internal sealed class OpenContents
{
    /// <summary>How many there are at most; together 4 MiB.</summary>
    public const int MaxBuffers = (4 << 20) / OpenContent.MaxBytes;

    private readonly List<OpenContent> _all = [];
    private readonly Stack<OpenContent> _free = new();
    private int _turn;

    /// <summary>A buffer that is nobody's; false when all of them wait for a result.</summary>
    public bool TryRent([NotNullWhen(true)] out OpenContent? content)
    {
        if (_free.TryPop(out content))
        {
            return true;
        }
        if (_all.Count < MaxBuffers)
        {
            content = new OpenContent();
            _all.Add(content);
            return true;
        }
        for (int i = 0; i < MaxBuffers; i++)
        {
            content = _all[_turn];
            _turn = (_turn + 1) % MaxBuffers;
            if (content.File is not null)
            {
                content.Drop();
                return true;
            }
        }
        return false;
    }

    public void Return(OpenContent content)
    {
        content.Drop();
        _free.Push(content);
    }
}
