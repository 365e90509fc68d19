using System.Globalization;
using System.Text;

namespace BfsBench;

/// <summary>
/// The source tree of the Andrew benchmark: 70 files in five directories, as many as the original's, made by rule, the same
/// every time. The C files compile, and the program that they make prints a number that depends on all of them.
/// </summary>
internal static class SourceTree
{
    /// <summary>Builds the program in the directory that it is called in.</summary>
    public const string BuildScript = "build.sh";

    /// <summary>What it builds.</summary>
    public const string Program = "program";

    private const int UnitsPerDirectory = 11;
    private const int FunctionsPerUnit = 14;

    private static readonly string[] Libraries = ["lists", "text", "tables", "sums"];

    public static IReadOnlyList<string> Directories { get; } = [.. Libraries, "main"];

    /// <summary>All files, by their paths below the tree.</summary>
    public static IReadOnlyList<(string Path, string Content)> Files { get; } = Generate();

    public static void WriteTo(string directory)
    {
        foreach (string name in Directories)
        {
            Directory.CreateDirectory(Path.Combine(directory, name));
        }
        foreach ((string path, string content) in Files)
        {
            File.WriteAllText(Path.Combine(directory, path), content);
        }
    }

    private static List<(string, string)> Generate()
    {
        var files = new List<(string, string)> { (BuildScript, Script()) };
        var numbers = new Numbers(20_000);
        foreach (string library in Libraries)
        {
            files.Add(($"{library}/{library}.h", Header(library)));
            files.Add(($"{library}/types.h", Types(library)));
            files.Add(($"{library}/README", $"The directory {library} has {UnitsPerDirectory} units of {FunctionsPerUnit} functions.\n"));
            for (int unit = 0; unit < UnitsPerDirectory; unit++)
            {
                files.Add(($"{library}/{library}{unit}.c", Unit(library, unit, numbers)));
            }
        }
        // The rest of the 70: the program, and parts of it.
        for (int part = 0; files.Count < 69; part++)
        {
            files.Add(($"main/part{part}.c", Part(part)));
        }
        files.Add(("main/main.c", MainFile(files.Count(f => f.Item1.StartsWith("main/part", StringComparison.Ordinal)))));
        return files;
    }

    private static string Script() => """
        set -e
        for source in */*.c; do
          gcc -g -O1 -c -o "${source%.c}.o" "$source"
        done
        gcc -g -o program */*.o

        """;

    private static string Header(string library)
    {
        var text = new StringBuilder($"#ifndef {library}_h\n#define {library}_h\n#include \"types.h\"\n\n");
        for (int unit = 0; unit < UnitsPerDirectory; unit++)
        {
            text.Append(Invariant($"{library}_value {library}_unit{unit}({library}_value seed);\n"));
        }
        return text.Append("#endif\n").ToString();
    }

    private static string Types(string library) => $$"""
        #ifndef {{library}}_types_h
        #define {{library}}_types_h
        #include <stdint.h>
        #include <stddef.h>
        #include <string.h>
        #include <stdlib.h>

        typedef uint32_t {{library}}_value;

        struct {{library}}_cell {
          {{library}}_value key;
          {{library}}_value value;
          struct {{library}}_cell *next;
        };
        #endif

        """;

    private static string Unit(string library, int unit, Numbers numbers)
    {
        var text = new StringBuilder($"#include \"{library}.h\"\n\n");
        for (int function = 0; function < FunctionsPerUnit; function++)
        {
            text.Append(CultureInfo.InvariantCulture, $"/* Step {function} of unit {unit}: one of {FunctionsPerUnit} that are applied in turn. */\n");
            text.Append(CultureInfo.InvariantCulture, $"static {library}_value step{function}({library}_value x)\n{{\n");
            text.Append(Body(library, numbers)).Append("}\n\n");
        }
        text.Append(CultureInfo.InvariantCulture, $"{library}_value {library}_unit{unit}({library}_value seed)\n{{\n");
        for (int function = 0; function < FunctionsPerUnit; function++)
        {
            text.Append(CultureInfo.InvariantCulture, $"  seed = step{function}(seed);\n");
        }
        return text.Append("  return seed;\n}\n").ToString();
    }

    private static string Body(string library, Numbers numbers)
    {
        uint a = numbers.Next(1, 97), b = numbers.Next(3, 31), c = numbers.Next(2, 9);
        return numbers.Next(0, 4) switch
        {
            0 => Invariant($$"""
                  struct {{library}}_cell cells[{{b}}];
                  for (size_t i = 0; i < {{b}}; i++) {
                    cells[i].key = x * {{a}}u + (uint32_t)i;
                    cells[i].value = x ^ cells[i].key;
                    cells[i].next = i > 0 ? &cells[i - 1] : NULL;
                  }
                  for (struct {{library}}_cell *cell = &cells[{{b}} - 1]; cell != NULL; cell = cell->next)
                    x += cell->value >> {{c}};
                  return x;

                """),
            1 => Invariant($$"""
                  char word[{{b + 8}}];
                  for (size_t i = 0; i < sizeof word - 1; i++)
                    word[i] = (char)('a' + (x >> (i % {{c}})) % 26);
                  word[sizeof word - 1] = 0;
                  for (size_t i = strlen(word); i-- > 0;)
                    x = x * {{a}}u + (uint32_t)word[i];
                  return x;

                """),
            2 => Invariant($$"""
                  switch (x % {{c + 2}}) {
                  case 0: x = x * {{a}}u + {{b}}u; break;
                  case 1: x ^= x << {{c}}; break;
                  case 2: x ^= x >> {{c + 1}}; break;
                  case 3: x = x / {{c}}u + {{a}}u; break;
                  default: x += {{a * b}}u; break;
                  }
                  return x;

                """),
            _ => Invariant($$"""
                  uint32_t *table = malloc({{b}} * sizeof *table);
                  if (table == NULL)
                    return x;
                  for (uint32_t i = 0; i < {{b}}; i++)
                    table[i] = (x + i) * {{a}}u;
                  for (uint32_t i = 1; i < {{b}}; i++)
                    table[i] ^= table[i - 1] >> {{c}};
                  x = table[{{b}} - 1];
                  free(table);
                  return x;

                """),
        };
    }

    private static string Part(int part)
    {
        var text = new StringBuilder();
        foreach (string library in Libraries)
        {
            text.Append(CultureInfo.InvariantCulture, $"#include \"../{library}/{library}.h\"\n");
        }
        text.Append(CultureInfo.InvariantCulture, $"\nuint32_t part{part}(uint32_t x)\n{{\n");
        for (int unit = 0; unit < UnitsPerDirectory; unit++)
        {
            foreach (string library in Libraries)
            {
                text.Append(CultureInfo.InvariantCulture, $"  x = {library}_unit{(unit + part) % UnitsPerDirectory}(x);\n");
            }
        }
        return text.Append("  return x;\n}\n").ToString();
    }

    private static string MainFile(int parts)
    {
        var text = new StringBuilder("#include <stdint.h>\n#include <stdio.h>\n\n");
        for (int part = 0; part < parts; part++)
        {
            text.Append(CultureInfo.InvariantCulture, $"uint32_t part{part}(uint32_t x);\n");
        }
        text.Append("\nint main(void)\n{\n  uint32_t x = 1;\n");
        for (int part = 0; part < parts; part++)
        {
            text.Append(CultureInfo.InvariantCulture, $"  x = part{part}(x);\n");
        }
        return text.Append("  printf(\"%u\\n\", x);\n  return 0;\n}\n").ToString();
    }

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text).ReplaceLineEndings("\n");

    /// <summary>A sequence of numbers that is the same every time, on every machine.</summary>
    private sealed class Numbers(ulong state)
    {
        private ulong _state = state;

        /// <summary>From <paramref name="least"/> up to, but not including, <paramref name="end"/>.</summary>
        public uint Next(uint least, uint end)
        {
            _state = (_state * 2862933555777941757) + 3037000493;
            return least + (uint)((_state >> 33) % (end - least));
        }
    }
}
