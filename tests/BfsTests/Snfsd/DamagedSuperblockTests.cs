using System.Runtime.CompilerServices;
using BfsCore;
using BfsCore.State;
using BfsReplica.Snfsd;

namespace BfsTests.Snfsd;

/// <summary>
/// A service that was opened over what an attacker left does right as soon as the state is: it remembers nothing of the damaged
/// superblock (simulator seed 9200594).
/// </summary>
public sealed class DamagedSuperblockTests
{
    private const long SizeBytes = 4 << 20;

    [Fact]
    public void Opened_over_a_damaged_superblock_it_does_right_when_that_is_repaired()
    {
        using var right = new PagedState(SizeBytes);
        var config = new ClusterConfig { Replicas = [], Clients = [] };
        new FileService(config).Open(right.Window(0, SizeBytes));
        VolumeLayout layout = VolumeLayout.For(SizeBytes);
        int damaged = 0;
        // Everything after magic and version.
        for (int at = 12; at < Unsafe.SizeOf<Superblock>(); at++)
        {
            using var state = new PagedState(SizeBytes);
            right.Read(0, (int)SizeBytes).CopyTo(state.Modify(0, (int)SizeBytes));
            state.Modify(at, 1)[0] ^= 0x39;
            var service = new FileService(config);
            service.Open(state.Window(0, SizeBytes));
            state.Modify(at, 1)[0] ^= 0x39;
            service.StateReplaced();
            Assert.Equal(2u, service.Volume.AllocateInode());
            Assert.Equal(7, state.Read(layout.InodeBitmapPage * PagedState.PageBytes, 1)[0]);
            damaged++;
        }
        Assert.InRange(damaged, 40, 100);
    }
}
