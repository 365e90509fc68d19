using BfsCore;
using BfsCore.Crypto;
using BfsCore.Hosting;

namespace BfsTests.Hosting.Files;

/// <summary>Long-term keys and the counters that must never go back (§4.2, pitfall 36).</summary>
public sealed class KeyFileTests : IDisposable
{
    private readonly TempDirectory _temp = new();
    private readonly ClusterDirectory _directory;
    private readonly ClusterConfig _config;

    public KeyFileTests()
    {
        _directory = new ClusterDirectory(_temp.File("cluster"));
        _config = ClusterFounder.Create(_directory, new ClusterPlan { Clients = 2 });
    }

    public void Dispose() => _temp.Dispose();

    private string FirstKey => _directory.ReplicaKey(new ReplicaId(0));

    [Fact]
    public void Private_keys_are_for_their_owner_only()
    {
        foreach (string file in Directory.GetFiles(_directory.Keys))
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        }
        Assert.Equal(6, Directory.GetFiles(_directory.Keys).Length);
    }

    [Fact]
    public void A_signature_verifies_under_the_key_in_the_cluster_file()
    {
        using var replica = FileSigner.ForReplica(_directory, _config, new ReplicaId(2));
        using var client = FileSigner.ForClient(_directory, _config, new ClientId(1025));
        byte[] signature = new byte[64];
        replica.Sign("new key"u8, signature);
        Assert.True(PublicKeys.Verify(_config.Replicas[2].PublicKey.Span, "new key"u8, signature));
        Assert.False(PublicKeys.Verify(_config.Replicas[1].PublicKey.Span, "new key"u8, signature));
        client.Sign("new key"u8, signature);
        Assert.True(PublicKeys.Verify(_config.Clients[1].PublicKey.Span, "new key"u8, signature));
    }

    [Fact]
    public void A_key_that_others_may_read_is_refused()
    {
        File.SetUnixFileMode(FirstKey, UnixFileMode.UserRead | UnixFileMode.OtherRead);
        Refused("chmod 600");
    }

    [Fact]
    public void A_damaged_key_is_refused()
    {
        string text = File.ReadAllText(FirstKey);
        File.WriteAllText(FirstKey, text[..60] + "AAAA" + text[64..]);
        Refused("damaged");
    }

    [Fact]
    public void A_missing_key_is_refused()
    {
        File.Delete(FirstKey);
        Refused("no such key file");
    }

    [Fact]
    public void Another_replicas_key_is_refused()
    {
        File.Copy(_directory.ReplicaKey(new ReplicaId(1)), FirstKey, overwrite: true);
        Refused("does not belong to the public key");
    }

    private void Refused(string message) => Assert.Contains(message, Assert.Throws<ClusterFileException>(
        () => FileSigner.ForReplica(_directory, _config, new ReplicaId(0))).Message, StringComparison.Ordinal);

    [Fact]
    public void The_counter_grows_over_restarts_without_a_clean_stop()
    {
        ulong last = 0;
        for (int life = 0; life < 4; life++)
        {
            var counter = new FileCounter(_temp.File("counter"));
            for (int i = 0; i < 1500; i++)
            {
                ulong next = counter.Next();
                Assert.True(next > last);
                last = next;
            }
        }
    }

    [Fact]
    public void A_damaged_counter_is_refused()
    {
        new FileCounter(_temp.File("counter")).Next();
        byte[] content = File.ReadAllBytes(_temp.File("counter"));
        content[3]++;
        File.WriteAllBytes(_temp.File("counter"), content);
        Assert.Throws<ClusterFileException>(() => new FileCounter(_temp.File("counter")));
    }

    [Fact]
    public void Accepted_counters_survive_and_damage_is_found()
    {
        string path = _temp.File("accepted");
        var store = new FileStableStore(path);
        Assert.Equal(0UL, store.LoadCounter(3));
        store.SaveCounter(3, 17);
        store.SaveCounter(1024, ulong.MaxValue);
        store.SaveCounter(3, 18);
        var again = new FileStableStore(path);
        Assert.Equal((18UL, ulong.MaxValue, 0UL), (again.LoadCounter(3), again.LoadCounter(1024), again.LoadCounter(2)));
        byte[] content = File.ReadAllBytes(path);
        content[5] ^= 1;
        File.WriteAllBytes(path, content);
        Assert.Throws<ClusterFileException>(() => new FileStableStore(path));
    }
}
