System.Console.WriteLine("bfs replica");
