namespace BfsClient.Commands;

/// <summary>What a process has written to its log since it was started.</summary>
internal sealed class LogTail
{
    private const int MaxBytes = 64 * 1024;

    private readonly string _path;
    private readonly long _start;

    public LogTail(string path)
    {
        _path = path;
        _start = File.Exists(path) ? new FileInfo(path).Length : 0;
    }

    public bool Contains(string text) => LastLines(int.MaxValue).Contains(text, StringComparison.Ordinal);

    /// <summary>The last lines, indented; says so when there are none.</summary>
    public string LastLines(int count)
    {
        try
        {
            using var file = new FileStream(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            file.Position = Math.Max(_start, file.Length - MaxBytes);
            using var reader = new StreamReader(file);
            string[] lines = reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
            return lines.Length == 0
                ? $"  (nothing in {_path})"
                : string.Join('\n', lines.TakeLast(count).Select(line => "  " + line));
        }
        catch (IOException e)
        {
            return $"  ({_path}: {e.Message})";
        }
    }
}
