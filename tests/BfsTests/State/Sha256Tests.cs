using System.Security.Cryptography;
using BfsCore.Crypto;

namespace BfsTests.State;

/// <summary>OpenSSL's plain functions, where they are used, against .NET's.</summary>
public sealed class Sha256Tests
{
    [Fact]
    public void EveryLengthHasTheDigestThatTheStandardGivesIt()
    {
        byte[] memory = new byte[70_000];
        new Random(7).NextBytes(memory);
        foreach (int length in Enumerable.Range(0, 300).Concat([4095, 4096, 4097, 65_536, 70_000]))
        {
            byte[] digest = new byte[34];
            Sha256.Hash(memory.AsSpan(0, length), digest.AsSpan(1));
            Assert.Equal([0, .. SHA256.HashData(memory.AsSpan(0, length)), 0], digest);
        }
    }

    [Fact]
    public void ADigestNeedsRoom() => Assert.ThrowsAny<ArgumentException>(() => Sha256.Hash("abc"u8, new byte[31]));

    [Fact]
    public void ThreadsDoNotDisturbEachOther() =>
        Parallel.For(0, 64, i =>
        {
            byte[] digest = new byte[32];
            byte[] message = [.. Enumerable.Range(i, 1000).Select(b => (byte)b)];
            for (int k = 0; k < 100; k++)
            {
                Sha256.Hash(message, digest);
                Assert.Equal(SHA256.HashData(message), digest);
            }
        });
}
