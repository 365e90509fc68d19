using System.CommandLine;
using BfsSim;
using BfsSim.Fuzz;
using BfsSim.Mutants;

Option<int> jobs = new("--jobs") { Description = "how many at a time", DefaultValueFactory = _ => Environment.ProcessorCount };

Argument<long> seed = new("N") { Description = "the seed" };
Option<bool> trace = new("--trace") { Description = "print every message that is delivered and every batch that is executed" };
Option<string?> profileOfOne = new("--profile") { Description = $"a narrower choice, {string.Join(" or ", SimProfiles.All.Keys)}" };
Command one = new("seed", "Runs one seed and says what it was like.") { seed, trace, profileOfOne };
one.SetAction(result => SeedRunner.RunOne(result.GetValue(seed), result.GetValue(profileOfOne), result.GetValue(trace), Console.Out));

Argument<long> from = new("FROM") { Description = "the first seed" };
Argument<int> count = new("COUNT") { Description = "how many" };
Option<bool> untilFailure = new("--until-failure") { Description = "stop at the first seed that fails, and tell only of it" };
Option<string?> profile = new("--profile") { Description = $"a narrower choice, {string.Join(" or ", SimProfiles.All.Keys)}" };
Option<bool> safety = new("--safety") { Description = "with --until-failure: what does not complete is no failure" };
Command many = new("seeds", "Runs many seeds in parallel and lists what happened, and those that failed.") { from, count, jobs, untilFailure, profile, safety };
many.SetAction(result => result.GetValue(untilFailure)
    ? SeedHunt.Run(result.GetValue(from), result.GetValue(count), result.GetValue(jobs), result.GetValue(profile),
        result.GetValue(safety), Console.Out)
    : SeedRunner.RunMany(result.GetValue(from), result.GetValue(count), result.GetValue(jobs), result.GetValue(profile)));

Argument<double> minutes = new("MINUTES") { Description = "how long" };
Option<long?> first = new("--from") { Description = "the first seed; otherwise one that was not tried before" };
Option<string> json = new("--json") { Description = "where the summary goes", DefaultValueFactory = _ => "soak.json" };
Command soak = new("soak", "Runs fresh seeds for a time; writes a summary as a table and as JSON.") { minutes, first, json, jobs };
soak.SetAction(result => SeedRunner.Soak(result.GetValue(minutes), result.GetValue(first) ?? Random.Shared.NextInt64(1L << 40),
    result.GetValue(jobs), result.GetValue(json)!));

return new RootCommand("Simulates whole clusters in virtual time, each from one integer seed.")
    { one, many, soak, FuzzCommand.Create(), MutantsCommand.Create() }
    .Parse(args).Invoke();
