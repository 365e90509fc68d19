using System.CommandLine;
using BfsSim;
using BfsSim.Fuzz;

Argument<long> seed = new("N") { Description = "the seed" };
Option<bool> trace = new("--trace") { Description = "print every message that is delivered" };
Command one = new("seed", "Runs one seed and says what it was like.") { seed, trace };
one.SetAction(result => SeedRunner.RunOne(result.GetValue(seed), result.GetValue(trace), Console.Out));

Argument<long> from = new("FROM") { Description = "the first seed" };
Argument<int> count = new("COUNT") { Description = "how many" };
Option<int> jobs = new("--jobs") { Description = "how many at a time", DefaultValueFactory = _ => Environment.ProcessorCount };
Command many = new("seeds", "Runs many seeds in parallel and lists those that failed.") { from, count, jobs };
many.SetAction(result => SeedRunner.RunMany(result.GetValue(from), result.GetValue(count), result.GetValue(jobs), Console.Out));

return new RootCommand("Simulates whole clusters in virtual time, each from one integer seed.") { one, many, FuzzCommand.Create() }
    .Parse(args).Invoke();
