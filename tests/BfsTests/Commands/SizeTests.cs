using BfsClient.Commands;

namespace BfsTests.Commands;

/// <summary>Sizes as people write them.</summary>
public sealed class SizeTests
{
    [Theory]
    [InlineData("1048576", 1L << 20, "1 MiB")]
    [InlineData("512M", 512L << 20, "512 MiB")]
    [InlineData("16g", 16L << 30, "16 GiB")]
    [InlineData("3GiB", 3L << 30, "3 GiB")]
    [InlineData(" 1T ", 1L << 40, "1 TiB")]
    [InlineData("1000", 1000, "1000 bytes")]
    public void Sizes_are_read_and_written(string text, long bytes, string shown)
    {
        Assert.Equal(bytes, Size.Parse(text));
        Assert.Equal(shown, Size.Text(bytes));
    }

    [Theory]
    [InlineData("")]
    [InlineData("G")]
    [InlineData("0")]
    [InlineData("-1M")]
    [InlineData("1.5G")]
    [InlineData("1X")]
    [InlineData("9223372036854775808")]
    [InlineData("9007199254740992K")]
    [InlineData("16777216T")]
    public void Anything_else_is_none(string text) => Assert.Null(Size.Parse(text));
}
