using System.Collections.Concurrent;
using System.Diagnostics;
using BfsCore.Hosting.Recovery;
using BfsCore.Replication;
using BfsCore.State;
using BfsReplica.Snfsd;
using Microsoft.Extensions.Logging;

namespace BfsReplica;

// What the recovery monitor has the replica do, and what it tells the monitor of damage.
internal sealed partial class ReplicaHost
{
    private const int PiecePages = 256;

    /// <summary>An attack damages many pages, which scrubbing finds one by one: they are to be one record.</summary>
    private const int DamageQuietSeconds = 5;

    private static readonly TimeSpan HandOverPoll = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan HandOverPatience = TimeSpan.FromMilliseconds(300);

    private readonly string _evidenceDirectory = "";
    private PageEvidence? _damage;
    private bool _damageIsRepaired;
    private long _damageCount;
    private int _quietSeconds;
    private ControlLine _found = new();
    private bool _saving;

    private void OnControl(ControlLine line)
    {
        if (line.Kind == ControlLine.Save && !_saving)
        {
            _saving = true;
            GiveWay();
        }
        else if (line is { Kind: ControlLine.Describe, Pages: { } pages })
        {
            _channel!.Send(new ControlLine { Kind = ControlLine.Described, Texts = Describe(pages) });
        }
    }

    /// <summary>What pages belong to, in words; to be asked while the state is right.</summary>
    private string[] Describe(IReadOnlyList<long> pages)
    {
        long regionStart = Replica.StateBytes(_config) - _config.ServiceStateBytes;
        StateRegion region = _storage.Pages.Window(regionStart, _config.ServiceStateBytes);
        return [.. PageOwners.Describe(region, regionStart, [.. pages.Take(PageEvidence.MaxPages)]).Select(owner => owner.ToString())];
    }

    /// <summary>
    /// A primary leaves its view before it is stopped (§4.3.2), and stays until the next view is there or does not come.
    /// </summary>
    private void GiveWay()
    {
        _found = new ControlLine { View = _replica?.View.Value ?? 0 };
        if (_replica is null || !_replica.HandOver())
        {
            _loop.Stop();
            return;
        }
        _logger.LogInformation("is to be restarted: leaves view {View}, of which it is the primary", _found.View);
        _channel!.Send(_found with { Kind = ControlLine.HandedOver });
        AwaitNextView(Stopwatch.StartNew());
    }

    private void AwaitNextView(Stopwatch watch)
    {
        if (_replica!.ViewActive || watch.Elapsed > HandOverPatience)
        {
            _loop.Stop();
        }
        else
        {
            _loop.AddTimer(HandOverPoll, () => AwaitNextView(watch));
        }
    }

    /// <summary>
    /// Compares every page in use with its digest, on all processors: a restart takes what is damaged in memory only away,
    /// and with it the trace of who did it.
    /// </summary>
    private void CheckMemory()
    {
        if (_damage is not null)
        {
            _channel!.Send(EndDamage());
        }
        PagedState pages = _storage.Pages;
        var used = new List<long>();
        for (long page = pages.NextUsedPage(0); page >= 0; page = pages.NextUsedPage(page + 1))
        {
            used.Add(page);
        }
        var damaged = new ConcurrentBag<long>();
        Parallel.For(0, (used.Count + PiecePages - 1) / PiecePages, piece =>
        {
            for (int i = piece * PiecePages; i < Math.Min((piece + 1) * PiecePages, used.Count); i++)
            {
                if (!pages.PageIsRight(used[i]))
                {
                    damaged.Add(used[i]);
                }
            }
        });
        var evidence = new PageEvidence(_evidenceDirectory, "memory", _logger);
        foreach (long page in damaged.Order())
        {
            evidence.Add(page, pages.PageAt(pages.LastCheckpoint, page));
        }
        evidence.Close();
        if (evidence.Count > 0)
        {
            _logger.LogError("{Count} pages of the state are damaged in memory; they are kept in {Path}", evidence.Count, evidence.Path);
        }
        _found = _found with
        {
            PagesChecked = used.Count,
            PagesCorrupt = evidence.Count,
            Pages = evidence.Pages,
            SavedPages = evidence.Path,
        };
    }

    /// <summary>Scrubbing has found a page damaged.</summary>
    private void OnDamagedPage(long page)
    {
        _logger.LogError("page {Page} of the state is damaged in memory; it is fetched from the others", page);
        _damage ??= new PageEvidence(_evidenceDirectory, "scrubbing", _logger);
        _damage.Add(page, _storage.Pages.PageAt(_storage.Pages.LastCheckpoint, page));
    }

    /// <summary>Of a state that is not known to be any checkpoint's, what the others have otherwise is damaged.</summary>
    private void OnPageReplaced(long page)
    {
        if (!_storage.Pages.IsTrusted)
        {
            _damage ??= new PageEvidence(_evidenceDirectory, "start", _logger);
            _damage.Add(page, _storage.Pages.ContentOf(page));
        }
    }

    private void OnTransferred(StateTransferReport report)
    {
        _storage.OnTransferred(report);
        _damageIsRepaired = _damage is not null;
    }

    /// <summary>To be called every second: damage that was repaired is reported once no more of it was found for a while.</summary>
    private void ReportDamage()
    {
        _quietSeconds = _damage is null || _damage.Count != _damageCount ? 0 : _quietSeconds + 1;
        _damageCount = _damage?.Count ?? 0;
        if (_damageIsRepaired && _quietSeconds >= DamageQuietSeconds && _channel is not null)
        {
            ControlLine line = EndDamage();
            _channel.Send(line with { Texts = Describe(line.Pages!) });
        }
    }

    private ControlLine EndDamage()
    {
        PageEvidence damage = _damage!;
        damage.Close();
        (_damage, _damageIsRepaired, _damageCount, _quietSeconds) = (null, false, 0, 0);
        return new ControlLine
        {
            Kind = ControlLine.Damaged,
            Cause = damage.Cause,
            Pages = damage.Pages,
            PagesCorrupt = damage.Count,
            SavedPages = damage.Path,
            View = _replica!.View.Value,
        };
    }
}
