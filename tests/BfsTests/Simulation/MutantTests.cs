using BfsSim.Mutants;

namespace BfsTests.Simulator;

/// <summary>The list of mutants follows the sources: a mutant whose fragment is gone would test nothing.</summary>
public class MutantTests
{
    [Fact]
    public void Each_mutant_applies_to_the_present_sources()
    {
        string root = MutantWorkspace.FindSources();
        foreach (Mutant mutant in MutantList.All)
        {
            string text = File.ReadAllText(Path.Combine(root, mutant.File));
            Assert.NotEqual(text, mutant.Apply(text));
        }
    }

    [Fact]
    public void At_least_twenty_protections_are_removed_each_under_a_name_of_its_own()
    {
        Assert.True(MutantList.All.Count >= 20);
        Assert.Equal(MutantList.All.Count, MutantList.All.Select(m => m.Name).Distinct().Count());
    }
}
