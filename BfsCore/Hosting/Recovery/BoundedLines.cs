using System.Runtime.InteropServices;
using System.Text;

namespace BfsCore.Hosting.Recovery;

/// <summary>Lines of UTF-8 from somebody who may send anything: one that is too long ends the input.</summary>
public sealed class BoundedLines(Stream stream, int maxBytes)
{
    private readonly byte[] _buffer = new byte[4096];
    private readonly List<byte> _line = [];
    private int _position;
    private int _length;

    /// <summary>The next line without its end; null at the end of the input. A last line without an end is none.</summary>
    /// <exception cref="IOException">The other end has gone.</exception>
    public async Task<string?> ReadAsync(CancellationToken cancellation = default)
    {
        while (true)
        {
            while (_position < _length)
            {
                byte value = _buffer[_position++];
                if (value == '\n')
                {
                    string line = Encoding.UTF8.GetString(CollectionsMarshal.AsSpan(_line));
                    _line.Clear();
                    return line;
                }
                if (_line.Count >= maxBytes)
                {
                    return null;
                }
                _line.Add(value);
            }
            _position = 0;
            _length = await stream.ReadAsync(_buffer, cancellation).ConfigureAwait(false);
            if (_length == 0)
            {
                return null;
            }
        }
    }
}
