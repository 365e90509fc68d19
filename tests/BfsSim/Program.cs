System.Console.WriteLine("bfs simulator");
