namespace BfsReplica.Monitoring;

/// <summary>A recovery monitor cannot do what it was asked; the message is for people.</summary>
internal sealed class MonitorException(string message) : Exception(message);
