using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Runtime.CompilerServices;

namespace BfsClient.Commands;

/// <summary>Help that ends with examples: what people look for first.</summary>
internal static class Help
{
    private static readonly ConditionalWeakTable<Command, string> s_examples = [];

    /// <param name="lines">One command per line.</param>
    public static Command WithExamples(this Command command, string lines)
    {
        s_examples.Add(command, lines);
        return command;
    }

    /// <summary>Makes --help of this command and all below it show the examples.</summary>
    public static void ShowExamples(RootCommand root)
    {
        foreach (HelpOption option in root.Options.OfType<HelpOption>())
        {
            option.Action = new ActionWithExamples((HelpAction)option.Action!);
        }
    }

    private sealed class ActionWithExamples(HelpAction inner) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            int code = inner.Invoke(parseResult);
            if (s_examples.TryGetValue(parseResult.CommandResult.Command, out string? lines))
            {
                TextWriter output = parseResult.InvocationConfiguration.Output;
                output.WriteLine("Examples:");
                foreach (string line in lines.Split('\n'))
                {
                    output.WriteLine("  " + line);
                }
                output.WriteLine();
            }
            return code;
        }
    }
}
