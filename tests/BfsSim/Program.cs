using System.CommandLine;
using BfsSim;
using BfsSim.Fuzz;
using BfsSim.Mutants;

Argument<long> seed = new("N") { Description = "the seed" };
Option<bool> trace = new("--trace") { Description = "print every message that is delivered" };
Command one = new("seed", "Runs one seed and says what it was like.") { seed, trace };
one.SetAction(result => SeedRunner.RunOne(result.GetValue(seed), result.GetValue(trace), Console.Out));

Argument<long> from = new("FROM") { Description = "the first seed" };
Argument<int> count = new("COUNT") { Description = "how many" };
Option<int> jobs = new("--jobs") { Description = "how many at a time", DefaultValueFactory = _ => Environment.ProcessorCount };
Option<bool> untilFailure = new("--until-failure") { Description = "stop at the first seed that fails, and tell only of it" };
Command many = new("seeds", "Runs many seeds in parallel and lists those that failed.") { from, count, jobs, untilFailure };
many.SetAction(result => result.GetValue(untilFailure)
    ? SeedHunt.Run(result.GetValue(from), result.GetValue(count), result.GetValue(jobs), Console.Out)
    : SeedRunner.RunMany(result.GetValue(from), result.GetValue(count), result.GetValue(jobs), Console.Out));

return new RootCommand("Simulates whole clusters in virtual time, each from one integer seed.")
    { one, many, FuzzCommand.Create(), MutantsCommand.Create() }
    .Parse(args).Invoke();
