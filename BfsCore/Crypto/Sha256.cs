using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace BfsCore.Crypto;

/// <summary>
/// SHA-256 of one message (FIPS 180-4). .NET has OpenSSL look up the algorithm and make a context for every digest, which
/// takes 0.33 us, seven times as long as a digest of less than 56 bytes, and an operation needs three of those at each
/// replica. Where OpenSSL 3 is there and has its plain functions (deprecated, which is why they may be missing), they are called
/// directly; everywhere else .NET's. Both are the same function: that of three bytes is compared when the program starts.
/// </summary>
internal static unsafe class Sha256
{
    /// <summary>More than the 112 bytes of OpenSSL's SHA256_CTX.</summary>
    private const int ContextBytes = 256;

    private static readonly Plain? Functions = Plain.TryLoad();

    /// <summary>Whether OpenSSL's plain functions are used.</summary>
    public static bool IsPlain => Functions is not null;

    /// <param name="digest">At least 32 bytes.</param>
    public static void Hash(ReadOnlySpan<byte> message, Span<byte> digest)
    {
        if (Functions is { } functions)
        {
            functions.Hash(message, digest);
        }
        else
        {
            SHA256.HashData(message, digest);
        }
    }

    /// <summary>OpenSSL's SHA256_Init, SHA256_Update and SHA256_Final.</summary>
    private sealed class Plain
    {
        private const string Library = "libcrypto.so.3";

        private readonly delegate* unmanaged[SuppressGCTransition]<byte*, int> _init;
        private readonly delegate* unmanaged<byte*, byte*, nuint, int> _update;
        private readonly delegate* unmanaged[SuppressGCTransition]<byte*, byte*, int> _final;

        private Plain(nint init, nint update, nint final)
        {
            _init = (delegate* unmanaged[SuppressGCTransition]<byte*, int>)init;
            _update = (delegate* unmanaged<byte*, byte*, nuint, int>)update;
            _final = (delegate* unmanaged[SuppressGCTransition]<byte*, byte*, int>)final;
        }

        public static Plain? TryLoad()
        {
            // .NET itself has the library loaded for good; so it is not freed here.
            if (!OperatingSystem.IsLinux() || !NativeLibrary.TryLoad(Library, out nint library)
                || !NativeLibrary.TryGetExport(library, "SHA256_Init", out nint init)
                || !NativeLibrary.TryGetExport(library, "SHA256_Update", out nint update)
                || !NativeLibrary.TryGetExport(library, "SHA256_Final", out nint final))
            {
                return null;
            }
            var plain = new Plain(init, update, final);
            Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
            plain.Hash("abc"u8, digest);
            return digest.SequenceEqual(SHA256.HashData("abc"u8)) ? plain : null;
        }

        [SkipLocalsInit]
        public void Hash(ReadOnlySpan<byte> message, Span<byte> digest)
        {
            byte* context = stackalloc byte[ContextBytes];
            fixed (byte* from = message, to = digest[..SHA256.HashSizeInBytes])
            {
                if (_init(context) != 1 || _update(context, from, (nuint)message.Length) != 1 || _final(to, context) != 1)
                {
                    throw new CryptographicException("OpenSSL's SHA-256 failed");
                }
            }
        }
    }
}
