// The servers, the drives and what they are compared with are Linux's.
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
