namespace BfsSim.Byzantine;

/// <summary>All ways of lying that a seed draws from.</summary>
public static class StrategyLibrary
{
    public static IReadOnlyList<Func<FaultyReplica, ISendStrategy>> ForReplicas { get; } =
    [
        _ => new Mute(),
        self => new Selective(self.Random.Fork()),
        self => new Garbler(self.Random.Fork()),
        self => new Replayer(self.Random.Fork()),
        self => new Equivocator(self),
        self => new Equivocator(self),
        self => new Conspirator(self),
        self => new Conspirator(self),
        self => new Impersonator(self),
        self => new Substitutor(self),
        self => new RequestForger(self),
        self => new Withholder(self),
        self => new Delayer(self),
        self => new TimeTraveller(self),
        self => new Starver(self),
        self => new PartialAuthenticator(self),
        self => new WrongDigests(self),
        self => new FalseProphet(self),
        self => new ReplyLiar(self),
        self => new StatusLiar(self),
        self => new ViewChangeLiar(self),
        self => new ViewChangeLiar(self),
        self => new FalseAcknowledger(self),
        self => new NewViewLiar(self),
        self => new Deserter(self),
        self => new StateCorrupter(self),
        self => new KeyChanger(self),
        self => new GreedyFetcher(self),
        self => new PartialLeaver(self),
        self => new PartialLeaver(self),
        self => new ViewChangeForger(self),
        self => new StaleReader(self),
        self => new DoubleVoter(self),
        self => new Divider(self),
    ];

    public static IReadOnlyList<Func<FaultyClient, ISendStrategy>> ForClients { get; } =
    [
        self => new PartialMacs(self),
        self => new TwoFaced(self),
        self => new Mislabeller(self),
        self => new Flooder(self),
        self => new LastTimestamp(self),
        self => new Babbler(self),
        self => new NeverSigner(self),
        self => new Garbler(self.Random.Fork()),
        self => new Replayer(self.Random.Fork()),
    ];

    /// <summary>A replica's strategy by its name.</summary>
    public static ISendStrategy Create(string name, FaultyReplica self) => name switch
    {
        nameof(Conspirator) => new Conspirator(self),
        nameof(PartialLeaver) => new PartialLeaver(self),
        nameof(ViewChangeForger) => new ViewChangeForger(self),
        nameof(StaleReader) => new StaleReader(self),
        nameof(DoubleVoter) => new DoubleVoter(self),
        nameof(Divider) => new Divider(self),
        nameof(Deserter) => new Deserter(self),
        _ => throw new ArgumentException($"no strategy of replicas is called {name}", nameof(name)),
    };

    /// <summary>A client's strategy by its name.</summary>
    public static ISendStrategy Create(string name, FaultyClient self) => name switch
    {
        nameof(NeverSigner) => new NeverSigner(self),
        _ => throw new ArgumentException($"no strategy of clients is called {name}", nameof(name)),
    };
}
