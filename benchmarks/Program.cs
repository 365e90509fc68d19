using System.CommandLine;
using BfsBench;

var json = new Option<FileInfo?>("--json") { Description = "also write the figures to this file, as a JSON array" };
var quick = new Option<bool>("--quick") { Description = "fewer and shorter runs" };
var micro = new Command("micro", "latency, throughput and CPU time of the null service, BFS against NO-REP (§8.3)") { json, quick };
micro.SetAction(parsed =>
{
    Results results = MicroBenchmark.Run(parsed.GetValue(quick));
    results.Print();
    if (parsed.GetValue(json) is { } file)
    {
        results.WriteJson(file.FullName);
    }
    return 0;
});

var transfer = new Command("transfer", "state transfer to a replica that starts empty, idle and under writes (§8.4.2)") { json, quick };
transfer.SetAction(parsed =>
{
    Results results = TransferBenchmark.Run(parsed.GetValue(quick));
    results.Print();
    if (parsed.GetValue(json) is { } file)
    {
        results.WriteJson(file.FullName);
    }
    return 0;
});

var viewChange = new Command("viewchange", "the time that view changes take, idle and under load, and stalls when the primary is killed (§8.5)") { json, quick };
viewChange.SetAction(parsed =>
{
    Results results = ViewChangeBenchmark.Run(parsed.GetValue(quick));
    results.Print();
    if (parsed.GetValue(json) is { } file)
    {
        results.WriteJson(file.FullName);
    }
    return 0;
});

var cluster = new Option<string>("--cluster") { Required = true };
var id = new Option<int>("--id") { Required = true };
var service = new Option<string>("--service") { DefaultValueFactory = _ => "null" };
var probe = new Option<bool>("--probe");
var serve = new Command("serve", "one server process of a benchmark") { cluster, id, service, probe };
serve.Hidden = true;
serve.SetAction(parsed => BenchCluster.Serve(parsed.GetValue(cluster)!, parsed.GetValue(id), parsed.GetValue(service)!, parsed.GetValue(probe)));

return new RootCommand("BFS benchmarks: figures are medians, and ratios within one run") { micro, transfer, viewChange, serve }.Parse(args).Invoke();
