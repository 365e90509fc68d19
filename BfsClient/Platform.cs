// For now the drive is mounted on Linux; elsewhere another front end will take the place of Fuse.
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
