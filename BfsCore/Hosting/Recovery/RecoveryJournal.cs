using System.Text;

namespace BfsCore.Hosting.Recovery;

/// <summary>The records of one replica's recoveries: a file to which lines are added and that nobody changes.</summary>
public static class RecoveryJournal
{
    private const int MaxFileBytes = 256 << 20;

    /// <summary>Adds a record and brings it to the disk. A line that an earlier crash cut short is ended first.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Append(string path, RecoveryRecord record)
    {
        byte[] line = Encoding.UTF8.GetBytes(RecoveryJson.Write(record) + "\n");
        bool isNew = !File.Exists(path);
        using (var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read))
        {
            bool torn = file.Length > 0 && (file.Seek(-1, SeekOrigin.End), file.ReadByte()).Item2 != '\n';
            file.Seek(0, SeekOrigin.End);
            file.Write(torn ? [(byte)'\n', .. line] : line);
            file.Flush(flushToDisk: true);
        }
        if (isNew)
        {
            DurableFile.SyncDirectory(Path.GetDirectoryName(path)!);
        }
    }

    /// <summary>All records, oldest first. Lines that are none, as one cut short, are left out.</summary>
    /// <param name="unreadable">How many lines those are.</param>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static IReadOnlyList<RecoveryRecord> Read(string path, out int unreadable)
    {
        unreadable = 0;
        var records = new List<RecoveryRecord>();
        if (!File.Exists(path))
        {
            return records;
        }
        if (new FileInfo(path).Length > MaxFileBytes)
        {
            throw new IOException($"{path} is larger than {MaxFileBytes} bytes; move it away");
        }
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(file, Encoding.UTF8);
        while (reader.ReadLine() is { } line)
        {
            if (line.Length > 0 && RecoveryJson.TryParse<RecoveryRecord>(line) is { } record)
            {
                records.Add(record);
            }
            else if (line.Length > 0)
            {
                unreadable++;
            }
        }
        return records;
    }
}
