// The replica's storage and the mount that the tests drive are Linux's.
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
