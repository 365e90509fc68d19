using BfsCore;
using BfsCore.FileProtocol;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsCore.State;
using BfsReplica.Snfsd;
using BfsTests.Snfsd;
using FileAttributes = BfsCore.FileProtocol.FileAttributes;
using Reply = BfsCore.Messages.Reply;

namespace BfsTests.Engine;

/// <summary>Reads of files are answered with the digests that the partition tree has of their pages (§5.1.1, §5.3.1).</summary>
public sealed class KnownDigestTests
{
    private const int Block = 4096;
    private const int Period = 4;
    private const int Transfer = 15 * Block;

    private static ClusterConfig Configured(ClusterConfig config, bool signed)
    {
        config = config with
        {
            CheckpointPeriod = Period,
            LogSize = 2 * Period,
            ServiceStateBytes = 4 << 20,
            ScrubPagesPerSecond = 0,
            // All replicas answer, to be compared.
            PreferredQuorums = false,
        };
        return signed ? config with { Mode = ClusterMode.BftPk, KeyRefreshMillis = 0, WatchdogSeconds = 0 } : config;
    }

    /// <summary>Four replicas of snfsd, and what each of them says is the digest of the last result.</summary>
    private sealed class FileCluster : IDisposable
    {
        public FileCluster(bool signed = false)
        {
            var rights = new ClusterConfig
            {
                Replicas = [],
                Clients = [.. Enumerable.Range(0, 2).Select(i => new ClientInfo(new ClientId(Limits.FirstClientId + i), $"c{i}", new byte[65], false, []))],
            };
            Cluster = new InMemoryCluster(c => Configured(c, signed), service: _ => new FileService(rights)).Start();
            Cluster.Filter = (_, _, m) =>
            {
                if (Reply.TryParse(m, Cluster.Config.Format, out Reply reply))
                {
                    LastDigests[reply.Replica.Value] = reply.Digest;
                    WrongResults += reply.HasResult && ContentDigest.Of(reply.Result) != reply.Digest ? 1 : 0;
                }
                return true;
            };
        }

        public InMemoryCluster Cluster { get; }

        /// <summary>By replica.</summary>
        public Digest?[] LastDigests { get; } = new Digest?[4];

        /// <summary>Replies whose result has not their digest.</summary>
        public int WrongResults { get; private set; }

        public byte[] Invoke(FileOp op, TestVolume.WriteArguments write, bool readOnly = false)
        {
            Array.Clear(LastDigests);
            long tag = Cluster.Results[0].NextTag;
            byte[]? result = Cluster.Invoke(TestVolume.Operation(op, write), readOnly);
            for (int waited = 0; result is null && waited < 1000; waited++)
            {
                Cluster.Pass(1_000, 1_000);
                result = Cluster.Results[0].Completed.GetValueOrDefault(tag);
            }
            Assert.NotNull(result);
            Assert.Equal(0, new WireReader(result).I32());
            return result;
        }

        public FileHandle Create(string name)
        {
            byte[] result = Invoke(FileOp.Create, (ref WireWriter w) =>
            {
                w.Handle(FileHandle.Root);
                w.Name(TestVolume.Bytes(name));
                w.U32(0x1a4);
                w.U8(0);
            });
            return new WireReader(result.AsSpan(5)).Attributes().Handle;
        }

        public void Write(FileHandle file, ulong offset, byte[] data) => Invoke(FileOp.Write, (ref WireWriter w) =>
        {
            w.Handle(file);
            w.U64(offset);
            w.U8(0);
            w.Bytes(data);
        });

        public void Resize(FileHandle file, ulong size) => Invoke(FileOp.SetAttr, (ref WireWriter w) =>
        {
            w.Handle(file);
            w.U32((uint)SetAttrMask.Size);
            w.U32(0);
            w.U32(0);
            w.U32(0);
            w.U64(size);
            w.I64(0);
            w.I64(0);
        });

        public byte[] Read(FileHandle file, ulong offset, uint count) => Invoke(FileOp.Read, (ref WireWriter w) =>
        {
            w.Handle(file);
            w.U64(offset);
            w.U32(count);
        }, readOnly: true);

        /// <summary>Executes what changes little until a checkpoint has been taken.</summary>
        public void ReachCheckpoint()
        {
            SeqNum before = Cluster.Pages[0].LastCheckpoint;
            while (Cluster.Pages[0].LastCheckpoint == before)
            {
                Invoke(FileOp.Fsync, (ref WireWriter w) => w.Handle(FileHandle.Root));
            }
            Cluster.Pass(50_000);
        }

        /// <summary>Changes a page of that content behind the replica's back.</summary>
        public void Damage(int replica, ReadOnlySpan<byte> page)
        {
            Span<byte> memory = StateCheckingTests.Memory(Cluster.Pages[replica]);
            memory[memory.IndexOf(page) + 1000] ^= 4;
        }

        public (long Known, long Hashed) Blocks(int replica) =>
            (Cluster.Replicas[replica].Counters.ReadBlocksKnown, Cluster.Replicas[replica].Counters.ReadBlocksHashed);

        public void Dispose() => Cluster.Dispose();
    }

    private static byte[] RandomBytes(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>The request's digest needed those of its blocks: a checkpoint does not compute them again (§5.3.1).</summary>
    [Theory]
    [InlineData(0u, 15)]
    [InlineData(3u * Block, 15)]
    [InlineData(100u, 0)]
    public void Blocks_that_are_written_whole_are_hashed_once(uint offset, int known)
    {
        using var files = new FileCluster();
        FileHandle file = files.Create("f");
        byte[] content = RandomBytes(Transfer, 1);
        files.Write(file, offset, content);
        byte[] result = files.Read(file, offset, Transfer);
        Assert.Equal(content, result[4..]);
        Assert.All(files.LastDigests, d => Assert.Equal(ContentDigest.Of(result), d));
        Assert.All(files.Cluster.Replicas, r => Assert.Equal((known, 15L - known), files.Blocks(r.Id.Value)));
        long[] hashed = [.. files.Cluster.Pages.Select(p => p.PagesHashed)];
        long modified = files.Cluster.Pages[0].ModifiedPagesInEpoch;
        files.ReachCheckpoint();
        Assert.All(files.Cluster.Pages.Index(), p => Assert.True(p.Item.PagesHashed - hashed[p.Index] <= modified + 2 - known));
        Assert.Single(files.Cluster.Pages.Select(p => p.CheckpointDigest(p.LastCheckpoint)).Distinct());
    }

    [Fact]
    public void A_read_of_what_has_not_changed_since_a_checkpoint_is_not_hashed()
    {
        using var files = new FileCluster();
        FileHandle file = files.Create("f");
        byte[] content = RandomBytes(Transfer, 1);
        files.Write(file, 0, content);
        files.ReachCheckpoint();
        long hashed = files.Cluster.Pages[1].PagesHashed;
        byte[] result = files.Read(file, 0, Transfer);
        Assert.Equal(content, result[4..]);
        Assert.All(files.LastDigests, d => Assert.Equal(ContentDigest.Of(result), d));
        Assert.All(files.Cluster.Replicas, r => Assert.Equal((15L, 0L), files.Blocks(r.Id.Value)));
        Assert.Equal(hashed, files.Cluster.Pages[1].PagesHashed);

        // Of what was changed since, only that is; blocks that do not end where the result ends are.
        files.Write(file, (3 * Block) + 17, [1]);
        result = files.Read(file, 0, Transfer);
        Assert.All(files.LastDigests, d => Assert.Equal(ContentDigest.Of(result), d));
        Assert.All(files.Cluster.Replicas, r => Assert.Equal((29L, 1L), files.Blocks(r.Id.Value)));
        result = files.Read(file, 0, Transfer - 1);
        Assert.All(files.LastDigests, d => Assert.Equal(ContentDigest.Of(result), d));
        Assert.All(files.Cluster.Replicas, r => Assert.Equal((29L, 16L), files.Blocks(r.Id.Value)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Replicas_answer_random_reads_with_the_digest_of_the_result(int seed)
    {
        using var files = new FileCluster();
        var random = new Random(seed);
        FileHandle[] handles = [.. Enumerable.Range(0, 4).Select(i => files.Create($"f{i}"))];
        byte[][] model = [.. handles.Select(_ => Array.Empty<byte>())];
        for (int i = 0; i < 250; i++)
        {
            int nth = random.Next(handles.Length);
            bool whole = random.Next(3) > 0;
            int offset = whole ? Block * random.Next(20) : random.Next(80_000);
            int length = whole ? Block * random.Next(1, 15) : random.Next(1, 20_000);
            switch (random.Next(8))
            {
                case 0:
                    byte[] data = random.Next(4) == 0 ? new byte[length] : RandomBytes(length, i);
                    files.Write(handles[nth], (ulong)offset, data);
                    Array.Resize(ref model[nth], Math.Max(model[nth].Length, offset + length));
                    data.CopyTo(model[nth], offset);
                    break;
                case 1:
                    files.Resize(handles[nth], (ulong)offset);
                    Array.Resize(ref model[nth], offset);
                    break;
                default:
                    byte[] result = files.Read(handles[nth], (ulong)offset, (uint)length);
                    Assert.Equal(model[nth].Skip(offset).Take(length), result.Skip(4));
                    Assert.All(files.LastDigests, d => Assert.True(d is null || d == ContentDigest.Of(result)));
                    Assert.True(files.LastDigests.Count(d => d is not null) >= 3);
                    break;
            }
            if (i == 120)
            {
                // One replica starts with nothing and fetches the state.
                files.Cluster.Replicas[2].RestartLog();
                files.Cluster.Restart(2);
                files.Cluster.Pass(2_000_000);
                Assert.True(files.Cluster.Replicas[2].StateIsWhole);
            }
        }
        Assert.All(files.Cluster.Replicas, r => Assert.True(r.Counters is { ReadBlocksKnown: > 20, ReadBlocksHashed: > 20 }));
        Assert.Equal(0, files.Cluster.Clients[0].ReadOnlyRetries);
        Assert.Equal(0, files.WrongResults);
    }

    /// <summary>
    /// A replica with a damaged page says the right digest and, when it is the one to send the result, sends a wrong one. The client
    /// sees that, gets the result from another after a short wait, and asks that replica less and less.
    /// </summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_client_gets_the_right_data_though_the_replier_has_a_damaged_page(bool signed)
    {
        using var files = new FileCluster(signed);
        InMemoryCluster cluster = files.Cluster;
        FileHandle file = files.Create("f");
        byte[] content = RandomBytes(Transfer, 1);
        files.Write(file, 0, content);
        files.ReachCheckpoint();
        files.Damage(replica: 1, content.AsSpan(7 * Block, Block));

        const int reads = 200;
        for (int i = 0; i < reads; i++)
        {
            long start = cluster.NowMicros;
            byte[] result = files.Read(file, 0, Transfer);
            Assert.Equal(content, result[4..]);
            Assert.All(files.LastDigests, d => Assert.Equal(ContentDigest.Of(result), d));
            Assert.InRange(cluster.NowMicros - start, 0, 10_000);
        }
        Assert.InRange(cluster.Clients[0].Retransmissions, 1, 4);
        Assert.InRange(files.WrongResults, 1, 2 * cluster.Clients[0].Retransmissions);
        Assert.Equal(0, cluster.Clients[0].ReadOnlyRetries);
    }

    /// <summary>It is a vote for the digest though the result is wrong: two others and it are 2f+1.</summary>
    [Fact]
    public void A_damaged_page_and_a_replica_that_is_down_do_not_keep_the_result_from_the_client()
    {
        using var files = new FileCluster();
        InMemoryCluster cluster = files.Cluster;
        FileHandle file = files.Create("f");
        byte[] content = RandomBytes(Transfer, 1);
        files.Write(file, 0, content);
        files.ReachCheckpoint();
        files.Damage(replica: 1, content.AsSpan(7 * Block, Block));
        Func<int, int, byte[], bool> watch = cluster.Filter;
        cluster.Filter = (to, from, m) => watch(to, from, m) && to != 2 && from != 2;
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(content, files.Read(file, 0, Transfer)[4..]);
        }
        Assert.True(files.WrongResults > 0);
        Assert.Equal(0, cluster.Clients[0].ReadOnlyRetries);
    }
}
