namespace BfsTests.Mounted;

/// <summary>Parts of the scripts that work on drives.</summary>
internal static class Scripts
{
    /// <summary>A tree of files of 0 to about 40 000 bytes, the same every time.</summary>
    public static string MakeTree(string directory, int files) => $$"""
        mkdir -p {{directory}}
        for i in $(seq 40); do mkdir -p {{directory}}/d$i/e; done
        awk -v dir="{{directory}}" 'BEGIN { srand(7); for (i = 0; i < {{files}}; i++) {
          file = sprintf("%s/d%d/e/file%d", dir, i % 40 + 1, i); lines = int(rand() ^ 4 * 2000); printf "" > file
          for (l = 0; l < lines; l++) { printf "%d line %d of file %d\n", rand() * 1000000, l, i > file } close(file) } }'

        """;
}
