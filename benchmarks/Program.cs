System.Console.WriteLine("bfs benchmarks");
