using BfsCore;
using BfsSim.Nodes;

namespace BfsSim.Network;

/// <summary>The engine's network port at one address: replicas come first, then clients.</summary>
public sealed class NodePort(VirtualNetwork network, SimNode self, int replicas) : INetwork
{
    private readonly Dictionary<int, int> _clientAddress = [];

    /// <summary>Size of the message that the engine is handling: an answer must not be larger (pitfall 2).</summary>
    public int HandlingBytes { get; set; }

    public static SourceAddress AddressOf(int node) => new((ulong)node + 1);

    public void SendToReplica(ReplicaId to, ReadOnlySpan<byte> message) => network.Send(self, to.Value, message.ToArray());

    public void MulticastToReplicas(ReadOnlySpan<byte> message)
    {
        byte[] copy = message.ToArray();
        for (int i = 0; i < replicas; i++)
        {
            if (i != self.Address)
            {
                network.Send(self, i, copy);
            }
        }
    }

    public void SendToClient(ClientId to, ReadOnlySpan<byte> message)
    {
        if (_clientAddress.TryGetValue(to.Value, out int address))
        {
            network.Send(self, address, message.ToArray());
        }
    }

    public void Answer(SourceAddress to, ReadOnlySpan<byte> message)
    {
        SimulationException.Require(message.Length <= HandlingBytes,
            $"node {self.Address} answered {HandlingBytes} bytes with {message.Length}");
        network.Send(self, (int)to.Value - 1, message.ToArray());
    }

    public void BindClient(ClientId client, SourceAddress address) => _clientAddress[client.Value] = (int)address.Value - 1;
}
