using BfsBench;

return BenchProgram.Run(args);
