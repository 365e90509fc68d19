using System.Globalization;

namespace BfsReplica.Monitoring;

/// <summary>Names of users for records.</summary>
internal static class Users
{
    private const string PasswordFile = "/etc/passwd";

    /// <summary>The name and the number; only the number for a user that /etc/passwd does not have.</summary>
    public static string NameOf(uint uid)
    {
        string number = uid.ToString(CultureInfo.InvariantCulture);
        try
        {
            foreach (string line in File.ReadLines(PasswordFile))
            {
                string[] fields = line.Split(':');
                if (fields.Length > 2 && fields[2] == number)
                {
                    return $"{fields[0]} (uid {number})";
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The number has to do.
        }
        return "uid " + number;
    }
}
