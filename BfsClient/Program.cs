System.Console.WriteLine("bfs");
