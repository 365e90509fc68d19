namespace BfsCore.State;

/// <summary>Who provides a state's memory, and takes it back when disposed.</summary>
internal interface IPageMemory : IDisposable
{
    /// <summary>A page is about to be modified for the first time since a checkpoint.</summary>
    void BeforeModifying(long page);
}
