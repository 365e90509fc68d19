using BfsClient;

namespace BfsTests.Fuse;

public class MountOptionsTests
{
    [Fact]
    public void NothingGivesTheDefaults()
    {
        Assert.True(MountOptions.TryParse("", out MountOptions options, out string error), error);
        Assert.Equal(new MountOptions(), options);
        Assert.Equal(1000, options.AttributeMillis);
        Assert.Equal(0, options.SoftTimeoutMillis);
    }

    [Fact]
    public void WordsAndValues()
    {
        Assert.True(MountOptions.TryParse(
            "allow_other,ro,suid,dev,noexec,attr_timeout=0.5,entry_timeout=3,readahead=256,fsname=mine,soft,timeo=50",
            out MountOptions options, out string error), error);
        Assert.True(options is { AllowOther: true, ReadOnly: true, AllowSetId: true, AllowDevices: true, NoExecute: true });
        Assert.Equal((500, 3000, 256, "mine", 5000),
            (options.AttributeMillis, options.EntryMillis, options.ReadaheadKib, options.Source, options.SoftTimeoutMillis));
    }

    [Fact]
    public void StrictCachesNothing()
    {
        Assert.True(MountOptions.TryParse("strict,attr_timeout=5", out MountOptions options, out _));
        Assert.Equal((true, 0, 0), (options.Strict, options.AttributeMillis, options.EntryMillis));
    }

    [Theory]
    [InlineData("soft", 60_000)]
    [InlineData("soft,timeo=7", 700)]
    [InlineData("timeo=7", 0)]
    [InlineData("soft,hard", 0)]
    [InlineData("hard,soft", 60_000)]
    public void SoftAndHard(string text, int millis)
    {
        Assert.True(MountOptions.TryParse(text, out MountOptions options, out _));
        Assert.Equal(millis, options.SoftTimeoutMillis);
    }

    [Theory]
    [InlineData("defaults,_netdev,nofail,noatime,x-systemd.automount,x-gvfs-hide")]
    [InlineData(" ro , rw ,,")]
    public void WordsOfFstabAreAccepted(string text) => Assert.True(MountOptions.TryParse(text, out _, out string error), error);

    [Theory]
    [InlineData("frobnicate", "'frobnicate': unknown")]
    [InlineData("strict=1", "takes no value")]
    [InlineData("timeo", "tenths of a second")]
    [InlineData("timeo=0", "tenths of a second")]
    [InlineData("timeo=-1", "tenths of a second")]
    [InlineData("attr_timeout=x", "seconds")]
    [InlineData("attr_timeout=-1", "seconds")]
    [InlineData("attr_timeout=99999999999999999999999999999999", "seconds")]
    [InlineData("readahead=99999999", "KiB")]
    [InlineData("fsname=", "name is missing")]
    public void WhatIsWrongIsSaid(string text, string expected)
    {
        Assert.False(MountOptions.TryParse(text, out _, out string error));
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }
}
