using BfsClient.Fuse;
using BfsCore.FileProtocol;
using Attributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsTests.Fuse;

/// <summary>Attributes that reach the kernel in an order of which requests in a row show nothing; <see cref="FuseSessionTests"/> has the rest.</summary>
public class KernelViewTests
{
    private readonly KernelView _view = new();

    [Fact]
    public void TheFirstAttributesOfANodeHold()
    {
        _view.Told(Of(5, ctime: 1), lookups: 1);
        Assert.True(Hold(Of(5, ctime: 1)));
    }

    [Fact]
    public void OlderAttributesThatComeLaterMayBeThoseThatTheKernelTakes()
    {
        _view.Told(Of(5, ctime: 2), lookups: 1);
        _view.Told(Of(5, ctime: 1), lookups: 1);
        _view.Told(Of(5, ctime: 2), lookups: 1);
        Assert.False(Hold(Of(5, ctime: 2)));
        Assert.True(Hold(Of(5, ctime: 2)));
    }

    [Fact]
    public void WhatWasDroppedForWantOfRoomIsNotTakenForNew()
    {
        _view.Told(Of(5, ctime: 1), lookups: 1);
        for (uint inode = 6; inode < 5 + KernelView.MaxNodes + 1; inode++)
        {
            _view.Told(Of(inode, ctime: 1), lookups: 1);
        }
        _view.Told(Of(5, ctime: 2), lookups: 1);
        Assert.False(Hold(Of(5, ctime: 2)));
    }

    private bool Hold(in Attributes attributes)
    {
        _view.Opened(attributes, out bool hold);
        return hold;
    }

    private static Attributes Of(uint inode, long ctime) => new() { Handle = new FileHandle(inode, 1), CtimeNanos = ctime };
}
