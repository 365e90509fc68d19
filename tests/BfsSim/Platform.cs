// The replica's storage and its locks are Linux's; clients may run elsewhere.
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
