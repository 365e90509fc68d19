using System.Diagnostics;
using System.Text;

namespace BfsBench;

/// <summary>Other programs, run to their end or until the benchmark is stopped.</summary>
internal static class ChildProgram
{
    private static readonly Lock s_lock = new();
    private static readonly List<Process> s_running = [];

    /// <summary>Where a program is, or null.</summary>
    public static string? Find(string name) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Append("/sbin")
            .Where(d => d.Length > 0).Select(d => Path.Combine(d, name)).FirstOrDefault(File.Exists);

    /// <summary>Runs a program that has to succeed; its output.</summary>
    /// <exception cref="BenchException">It did not; with what it said.</exception>
    public static string Run(string program, params string[] arguments) => Run(new ProcessStartInfo(program, arguments));

    /// <summary>The same, with everything else that one may want to say about it.</summary>
    public static string Run(ProcessStartInfo start)
    {
        var output = new StringBuilder();
        return RunReading(start, null, text => output.Append(text)) is { } problem ? throw new BenchException(problem + Tail(output)) : output.ToString();
    }

    /// <summary>Runs a program and hands on its output as it comes.</summary>
    /// <returns>What went wrong, or null.</returns>
    public static string? RunReading(ProcessStartInfo start, string? input, Action<string> onOutput)
    {
        start.UseShellExecute = false;
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        using Process process = StartRemembered(start);
        try
        {
            Task<string> error = process.StandardError.ReadToEndAsync();
            if (input is not null)
            {
                process.StandardInput.Write(input);
            }
            process.StandardInput.Close();
            char[] buffer = new char[4096];
            for (int count; (count = process.StandardOutput.Read(buffer)) > 0;)
            {
                onOutput(new string(buffer, 0, count));
            }
            process.WaitForExit();
            return process.ExitCode == 0 ? null
                : $"{Path.GetFileName(start.FileName)} {string.Join(' ', start.ArgumentList)} ended with {process.ExitCode}: {error.GetAwaiter().GetResult().Trim()}";
        }
        finally
        {
            lock (s_lock)
            {
                s_running.Remove(process);
            }
        }
    }

    // Together, so that what is starting when the end begins is ended too.
    private static Process StartRemembered(ProcessStartInfo start)
    {
        while (true)
        {
            CleanUp.StayIfEnding();
            lock (s_lock)
            {
                if (CleanUp.MayMake)
                {
                    Process process = Process.Start(start) ?? throw new BenchException($"cannot start {start.FileName}");
                    s_running.Add(process);
                    return process;
                }
            }
        }
    }

    /// <summary>A program in a session of its own, which Ctrl-C at the terminal does not reach.</summary>
    public static ProcessStartInfo Detached(string program, params string[] arguments) => new("setsid", [program, .. arguments]);

    /// <summary>Ends what runs now.</summary>
    public static void EndAll()
    {
        lock (s_lock)
        {
            foreach (Process process in s_running)
            {
                try
                {
                    process.Kill(entireProcessTree: true);
                }
                catch (InvalidOperationException)
                {
                    // It has ended by itself.
                }
            }
        }
    }

    private static string Tail(StringBuilder output) =>
        output.Length == 0 ? "" : "\n" + output.ToString(Math.Max(0, output.Length - 2000), Math.Min(2000, output.Length)).Trim();
}
