using System.Globalization;
using Microsoft.Extensions.Logging;

namespace BfsReplica;

/// <summary>
/// Writes one line per event: time, level, text. Never fails: a full disk under the log must not stop a replica.
/// </summary>
internal sealed class LineLogger(TextWriter output) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel))
        {
            return;
        }
        string level = logLevel switch
        {
            LogLevel.Information => "info",
            LogLevel.Warning => "warning",
            _ => "error",
        };
        string time = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture);
        try
        {
            lock (output)
            {
                output.WriteLine($"{time}Z {level}: {formatter(state, exception)}");
                output.Flush();
            }
        }
        catch (IOException)
        {
            // Nowhere to say it.
        }
    }
}
