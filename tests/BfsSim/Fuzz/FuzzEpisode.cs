using BfsCore;
using BfsCore.Messages;

namespace BfsSim.Fuzz;

/// <summary>What an input was given to.</summary>
internal enum FuzzTarget
{
    Replica,
    Client,
    Parsers,
    Transport,
    Files,
    ClusterFile,
    Restart,
}

/// <summary>Something that must not happen, and how to see it again.</summary>
internal sealed record FuzzFailure(long Number, FuzzTarget Target, byte[] Input, string What, string Place);

/// <summary>
/// <see cref="Inputs"/> inputs to one cluster and what is around it, all decided by the seed and the number of the episode: the input
/// of a number comes again when its episode is run up to it.
/// </summary>
internal sealed class FuzzEpisode : IDisposable
{
    public const int Inputs = 10_000;

    private readonly long _first;
    private readonly SimRandom _random;
    private readonly Mutator _mutator;
    private readonly Corpus _corpus;
    private readonly FuzzCluster _cluster;
    private readonly TransportTarget _transport;
    private readonly FileTarget _files;
    private readonly RestoreTarget _restore;
    private readonly ClusterFileTarget _clusterFile;
    private FuzzTarget _target;
    private byte[] _input = [];

    public FuzzEpisode(long seed, long number, Corpus start, ClusterFileTarget clusterFile)
    {
        _first = number * Inputs;
        _random = SimRandom.For(seed, number);
        _mutator = new Mutator(_random.Fork());
        _corpus = new Corpus(start);
        _cluster = new FuzzCluster(_random.Fork(), _corpus);
        _transport = new TransportTarget(_random.Fork());
        _files = new FileTarget(_cluster.Config, _random.Fork());
        _restore = new RestoreTarget(_cluster.Config, _random.Fork());
        _clusterFile = clusterFile;
    }

    /// <summary>Inputs by target.</summary>
    public long[] Counts { get; } = new long[Enum.GetValues<FuzzTarget>().Length];

    public long MostRequestBytes => _cluster.MostRequestBytes;

    public long Views => _cluster.Replicas.Max(r => r.View.Value);

    public FuzzCluster Cluster => _cluster;

    /// <summary>Messages that replicas took or threw away, by why.</summary>
    public long[] Seen => _corpus.Seen;

    /// <summary>The number of the input that is being handled.</summary>
    public long Current { get; private set; }

    /// <summary>All inputs are done, and the cluster is left alone to see whether it still works.</summary>
    public bool Ending { get; private set; }

    /// <summary>Runs inputs up to a number.</summary>
    /// <returns>The first failure, or null.</returns>
    public FuzzFailure? Run(long last)
    {
        try
        {
            for (Current = _first; Current <= last && Current < _first + Inputs; Current++)
            {
                Input();
                if (_random.PerMille(400))
                {
                    _cluster.Turn();
                }
            }
            Current--;
            _cluster.CheckBounds();
            _files.Check();
            if (last >= _first + Inputs - 1)
            {
                (_input, Ending) = ([], true);
                _cluster.CheckLiveness();
            }
            return null;
        }
        catch (Exception e)
        {
            string place = e.StackTrace?.Split('\n').FirstOrDefault(l => l.Contains("BfsCore", StringComparison.Ordinal)
                || l.Contains("BfsReplica", StringComparison.Ordinal)) ?? e.StackTrace?.Split('\n')[0] ?? "";
            return new FuzzFailure(Current, _target, _input, e.ToString(), $"{e.GetType().Name} {place.Trim()}");
        }
    }

    private void Input()
    {
        int kind = _random.Below(1000);
        _target = kind switch
        {
            < 720 => FuzzTarget.Replica,
            < 800 => FuzzTarget.Client,
            < 850 => FuzzTarget.Parsers,
            < 900 => FuzzTarget.Transport,
            < 997 => FuzzTarget.Files,
            < 999 => FuzzTarget.ClusterFile,
            _ => FuzzTarget.Restart,
        };
        Counts[(int)_target]++;
        switch (_target)
        {
            case FuzzTarget.Replica:
                ToReplica();
                break;
            case FuzzTarget.Client:
                ToClient();
                break;
            case FuzzTarget.Files:
                ToFiles();
                break;
            case FuzzTarget.ClusterFile:
                _mutator.Take(_clusterFile.Good);
                _mutator.ChangeBytes(ClusterFileTarget.Fragments(_random));
                _clusterFile.Take(Note());
                break;
            case FuzzTarget.Restart:
                ToRestart();
                break;
            default:
                Anywhere();
                break;
        }
    }

    private byte[] Note() => _input = _mutator.Message.ToArray();

    /// <summary>
    /// A message of the attacker's two in flight, changed and made authentic; or any message ever seen, changed, often made one of
    /// the attacker's; or bytes of no origin.
    /// </summary>
    private void ToReplica()
    {
        int to = (_cluster.Faulty + 1 + _random.Below(FuzzCluster.N - 1)) % FuzzCluster.N;
        int from = _random.PerMille(750) ? _cluster.Faulty : _cluster.Attacker.Client.Value;
        bool seal = true;
        if (_random.PerMille(300) && _cluster.TryIntercept(from, out (int To, int From, byte[] Bytes) flying) && flying.To < FuzzCluster.N)
        {
            to = flying.To;
            _mutator.Take(flying.Bytes);
        }
        else if (_random.PerMille(30))
        {
            _mutator.TakeRandom();
            seal = _random.PerMille(500);
        }
        else
        {
            _mutator.Take(_random.PerMille(100) ? _corpus.Draw(MessageTag.ViewChange, _random) : _corpus.Draw(_random));
            seal = _random.PerMille(800);
        }
        Change(to, seal, sender: _cluster.Faulty);
        _cluster.Deliver(to, from, Note());
    }

    private void ToClient()
    {
        int client = _random.Below(_cluster.BftClients.Length);
        _mutator.Take(_random.PerMille(800) ? _corpus.Draw(MessageTag.Reply, _random) : _corpus.Draw(_random));
        Change(client, _random.PerMille(800), sender: _cluster.Faulty);
        _cluster.Deliver(Limits.FirstClientId + client, _cluster.Faulty, Note());
    }

    private void Change(int to, bool seal, int sender)
    {
        if (!MessageHeader.TryReadTag(_mutator.Message, out MessageTag tag))
        {
            return;
        }
        MessageShape shape = MessageShape.Of(tag);
        Standing standing = _cluster.StandingOf(to % FuzzCluster.N);
        if (!seal)
        {
            _mutator.ChangeBytes(_corpus.Draw(_random));
            if (_random.PerMille(700))
            {
                _mutator.FixSize();
            }
            return;
        }
        _mutator.Normalise(shape, standing, sender);
        if (_random.PerMille(700))
        {
            _mutator.ChangeField(shape, standing);
        }
        if (_random.PerMille(300))
        {
            _mutator.ChangeBytes(_corpus.Draw(_random));
        }
        if (_random.PerMille(980))
        {
            _cluster.Attacker.Seal(_mutator, shape, tag, to);
        }
    }

    private void Anywhere()
    {
        _mutator.Take(_corpus.Draw(_random));
        if (_target == FuzzTarget.Transport)
        {
            _transport.Prepare(_mutator);
            _mutator.ChangeBytes(_corpus.Draw(_random));
            _transport.Take(Note(), _random.Below(3));
            return;
        }
        _mutator.ChangeBytes(_corpus.Draw(_random));
        if (_random.PerMille(900))
        {
            _mutator.FixSize();
        }
        if (_random.PerMille(500) && MessageHeader.TryReadTag(_mutator.Message, out MessageTag tag))
        {
            _cluster.Attacker.Seal(_mutator, MessageShape.Of(tag), tag, 0);
        }
        Parsers.All(Note(), _cluster.Config);
    }

    private void ToFiles()
    {
        byte[] operation = _files.Next();
        _mutator.Take(operation);
        _mutator.ChangeBytes(_random.PerMille(500) ? operation : _corpus.Draw(_random));
        _files.Execute(Note(), _random.PerMille(200));
    }

    private void ToRestart()
    {
        int id = _random.Below(FuzzCluster.N);
        List<byte[]> records = _cluster.LogOf(id);
        for (int left = 1 + _random.Below(3); left > 0 && records.Count > 0; left--)
        {
            int at = _random.Below(records.Count);
            _mutator.Take(records[at]);
            _mutator.ChangeBytes(records[_random.Below(records.Count)]);
            records[at] = Note();
        }
        _restore.Take(id, records, _cluster.Now, _cluster.Exchange);
    }

    public void Dispose()
    {
        _cluster.Dispose();
        _files.Dispose();
    }
}
