using System.Globalization;
using BfsCore.Hosting.Recovery;
using Spectre.Console;
using static System.FormattableString;

namespace BfsClient.Commands;

/// <summary>Records of recoveries for people.</summary>
internal static class RecoveryReportText
{
    /// <summary>So many damaged pages are named; the record has more.</summary>
    private const int MaxNamed = 40;

    /// <summary>One recovery: its phases as in Table 8.11, and what it found.</summary>
    public static void Write(IAnsiConsole console, RecoveryRecord record)
    {
        Table phases = new Table().Border(TableBorder.Rounded).AddColumn("phase").AddColumn(new TableColumn("ms").RightAligned());
        foreach (PhaseTime phase in record.Phases)
        {
            phases.AddRow(Markup.Escape(phase.Name), Invariant($"{phase.Millis:F1}"));
        }
        phases.AddRow("[bold]total[/]", Invariant($"[bold]{record.TotalMillis:F1}[/]"));
        console.Write(phases);
        foreach (string line in Findings(record))
        {
            console.WriteLine(line);
        }
    }

    /// <summary>What a recovery did and found, in lines.</summary>
    public static IEnumerable<string> Findings(RecoveryRecord record)
    {
        yield return record.ViewBefore == record.ViewAfter ? Invariant($"view {record.ViewAfter}")
            : Invariant($"view {record.ViewBefore} before, {record.ViewAfter} after")
                + (record.HandedOver ? ": it was the primary, and gave way to another" : "");
        if (record.Point > 0)
        {
            yield return Invariant($"H_M {record.Bound}, request executed at n_R {record.RequestSeq}, recovery point H {record.Point}");
        }
        yield return Invariant($"{record.MemoryPagesChecked} pages checked in memory and {record.PagesChecked} on disk, ")
            + Invariant($"{record.PagesCorrupt} damaged, {record.PagesFetched} fetched");
        foreach (CorruptPage page in record.CorruptPages.Take(MaxNamed))
        {
            yield return Invariant($"  page {page.Page}: {page.What ?? "unknown"}");
        }
        if (record.CorruptPages.Count > MaxNamed)
        {
            yield return Invariant($"  and {record.CorruptPages.Count - MaxNamed} more: bfs recoveries {record.Replica} --json");
        }
        foreach (string path in record.SavedPages)
        {
            yield return "damaged pages are kept in " + path;
        }
        foreach (TamperedFile file in record.ProgramFiles)
        {
            yield return $"program file {file.Name} was {file.Problem}" + (file.Problem == "extra" ? " and is removed" : " and is restored")
                + (file.SavedAs is { } path ? $"; kept as {path}" : "");
        }
        if (record.Alarm)
        {
            yield return "ALARM: it took longer than recoveryAlarmSeconds allows";
        }
    }

    /// <summary>Many recoveries, a row for each.</summary>
    public static Table Table(IEnumerable<RecoveryRecord> records)
    {
        Table table = new Table().Border(TableBorder.Rounded)
            .AddColumns("time (UTC)", "replica", "cause", "outcome", "s", "view", "damaged pages", "program files");
        foreach (RecoveryRecord record in records)
        {
            table.AddRow(
                record.Time.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture),
                record.Replica.ToString(CultureInfo.InvariantCulture),
                Markup.Escape(record.Who is { } who ? $"{record.Cause}: {who}" : record.Cause),
                (record.Error is null ? "" : "[red]") + Markup.Escape(record.Outcome + (record.Error is { } e ? ": " + e : ""))
                    + (record.Error is null ? "" : "[/]") + (record.Alarm ? " [red](ALARM)[/]" : ""),
                record.Phases.Count == 0 ? "" : Invariant($"{record.TotalMillis / 1000:F2}"),
                record.ViewBefore == record.ViewAfter ? Invariant($"{record.ViewAfter}") : Invariant($"{record.ViewBefore} -> {record.ViewAfter}"),
                Markup.Escape(Pages(record)),
                Markup.Escape(string.Join(", ", record.ProgramFiles.Select(f => $"{f.Name} {f.Problem}"))));
        }
        return table;
    }

    private static string Pages(RecoveryRecord record)
    {
        string[] owners = [.. record.CorruptPages.Select(p => p.What).OfType<string>().Distinct()];
        return record.PagesCorrupt == 0 ? "" : Invariant($"{record.PagesCorrupt}")
            + (owners.Length == 0 ? "" : ": " + string.Join("; ", owners.Take(3)) + (owners.Length > 3 ? Invariant($"; and {owners.Length - 3} more") : ""));
    }
}
