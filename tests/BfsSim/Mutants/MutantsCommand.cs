using System.CommandLine;

namespace BfsSim.Mutants;

internal static class MutantsCommand
{
    public static Command Create()
    {
        Option<string[]> only = new("--only") { Description = "names of mutants; all when none is given" };
        Option<int?> seeds = new("--seeds") { Description = "seeds for each, instead of what the list states" };
        Option<int> jobs = new("--jobs") { Description = "how many at a time", DefaultValueFactory = _ => Environment.ProcessorCount };
        Command command = new("mutants", "Removes one protection after the other and looks whether seeds notice.") { only, seeds, jobs };
        command.SetAction(result =>
            MutantRunner.Run(result.GetValue(only) ?? [], result.GetValue(seeds), result.GetValue(jobs), Console.Out));
        return command;
    }
}
