using System.Buffers.Binary;
using System.Diagnostics;
using BfsCore;
using BfsCore.Hosting.Net;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsBench;

/// <summary>A view change as the process around the replica timed it.</summary>
/// <param name="LeftView">Before the step in which the replica left its view and sent its VIEW-CHANGE.</param>
/// <param name="Micros">From there until it was in a view, with all of the view's batches and the state to start from.</param>
/// <param name="EnteredMicros">From there until it entered the view that it then was ready in.</param>
/// <param name="ViewChangeBytes">Size of the last VIEW-CHANGE that came meanwhile; 0 for none.</param>
/// <param name="NewViewBytes">Size of the NEW-VIEW; 0 at the new primary.</param>
internal readonly record struct TimedViewChange(long LeftView, double Micros, double EnteredMicros, int ViewChangeBytes, int NewViewBytes);

/// <summary>How a measured replica is.</summary>
internal readonly record struct ProbeState(long View, bool Ready, long LastExecuted, long StableCheckpoint);

/// <summary>
/// Around a replica, for the view-change benchmark: times its view changes with a clock, which the engine itself does not
/// have, and obeys the message that makes replicas leave their view (§8.5: a separate process triggers the view changes).
///
/// Messages: tag u16, kind u16 (1 leave, 2 report), total size u32. The report: view, ready, last executed, stable checkpoint,
/// each i64, and for each view change since the last report the view left i64, nanoseconds until ready and until entered i64
/// each, bytes of VIEW-CHANGE and NEW-VIEW i32 each.
/// </summary>
internal sealed class ViewChangeProbe(Replica replica, UdpTransport transport) : IServerEngine
{
    private const ushort Tag = 0x7f80;
    private const ushort Leave = 1;
    private const ushort Report = 2;
    private const int ReportHeaderBytes = 32;
    private const int EntryBytes = 32;
    private const int MaxReported = 1_000;

    private readonly List<TimedViewChange> _timed = new(MaxReported);
    private long _leftView;
    private long _leftAt;
    private long _enteredAt;
    private bool _changing;
    private int _viewChangeBytes;
    private int _newViewBytes;

    private bool IsReady => replica.ViewActive && replica.BatchesMissing == 0 && replica.TransferTarget.Value == 0;

    public long NextDeadlineMicros => replica.NextDeadlineMicros;

    public bool ExpectsMessages => replica.ExpectsMessages;

    public void Start(Instant now) => replica.Start(now);

    public void Step(ReadOnlySpan<byte> message, SourceAddress source)
    {
        (long before, View view) = (Stopwatch.GetTimestamp(), replica.View);
        if (message.Length >= 4 && BinaryPrimitives.ReadUInt16LittleEndian(message) == Tag)
        {
            Obey(BinaryPrimitives.ReadUInt16LittleEndian(message[2..]), source);
        }
        else
        {
            NoteSize(message);
            replica.Step(message, source);
        }
        Watch(before, view);
    }

    public void Tick(Instant now)
    {
        (long before, View view) = (Stopwatch.GetTimestamp(), replica.View);
        replica.Tick(now);
        Watch(before, view);
    }

    private void NoteSize(ReadOnlySpan<byte> message)
    {
        if (MessageHeader.TryReadTag(message, out MessageTag tag))
        {
            _viewChangeBytes = tag == MessageTag.ViewChange ? message.Length : _viewChangeBytes;
            _newViewBytes = tag == MessageTag.NewView ? message.Length : _newViewBytes;
        }
    }

    private void Watch(long before, View view)
    {
        if (!_changing && replica.View != view)
        {
            (_changing, _leftAt, _leftView) = (true, before, view.Value);
        }
        if (!replica.ViewActive)
        {
            _enteredAt = 0;
        }
        else if (_changing && _enteredAt == 0)
        {
            _enteredAt = Stopwatch.GetTimestamp();
        }
        if (_changing && IsReady)
        {
            _changing = false;
            if (_timed.Count < MaxReported)
            {
                _timed.Add(new TimedViewChange(_leftView, Stopwatch.GetElapsedTime(_leftAt).TotalMicroseconds,
                    Stopwatch.GetElapsedTime(_leftAt, _enteredAt).TotalMicroseconds, _viewChangeBytes, _newViewBytes));
            }
            (_viewChangeBytes, _newViewBytes, _enteredAt) = (0, 0, 0);
        }
    }

    private void Obey(int kind, SourceAddress source)
    {
        if (kind == Leave)
        {
            replica.LeaveView();
        }
        else if (kind == Report)
        {
            transport.Answer(source, BuildReport());
        }
    }

    private byte[] BuildReport()
    {
        byte[] report = new byte[ReportHeaderBytes + (_timed.Count * EntryBytes)];
        Write(0, replica.View.Value, IsReady ? 1 : 0, replica.LastExecuted.Value, replica.StableCheckpoint.Value);
        for (int i = 0; i < _timed.Count; i++)
        {
            TimedViewChange t = _timed[i];
            Write(ReportHeaderBytes + (i * EntryBytes), t.LeftView, (long)(t.Micros * 1000), (long)(t.EnteredMicros * 1000),
                ((long)t.NewViewBytes << 32) + t.ViewChangeBytes);
        }
        _timed.Clear();
        return report;

        void Write(int at, long a, long b, long c, long d)
        {
            BinaryPrimitives.WriteInt64LittleEndian(report.AsSpan(at), a);
            BinaryPrimitives.WriteInt64LittleEndian(report.AsSpan(at + 8), b);
            BinaryPrimitives.WriteInt64LittleEndian(report.AsSpan(at + 16), c);
            BinaryPrimitives.WriteInt64LittleEndian(report.AsSpan(at + 24), d);
        }
    }

    public static byte[] LeaveMessage => Message(Leave);

    public static byte[] ReportMessage => Message(Report);

    private static byte[] Message(ushort kind)
    {
        byte[] message = new byte[8];
        BinaryPrimitives.WriteUInt16LittleEndian(message, Tag);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(2), kind);
        BinaryPrimitives.WriteInt32LittleEndian(message.AsSpan(4), message.Length);
        return message;
    }

    /// <summary>Reads a report of a server of this program.</summary>
    public static (ProbeState State, List<TimedViewChange> Timed) ReadReport(ReadOnlySpan<byte> report)
    {
        var state = new ProbeState(Long(report, 0), Long(report, 8) != 0, Long(report, 16), Long(report, 24));
        var timed = new List<TimedViewChange>();
        for (int at = ReportHeaderBytes; at < report.Length; at += EntryBytes)
        {
            timed.Add(new TimedViewChange(Long(report, at), Long(report, at + 8) / 1000.0, Long(report, at + 16) / 1000.0,
                (int)Long(report, at + 24), (int)(Long(report, at + 24) >> 32)));
        }
        return (state, timed);

        static long Long(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
    }
}
