namespace BfsCore.Replication;

/// <summary>
/// Requests waiting for execution, first come first served (§2.3.5 fairness, §5.5). The primary takes them into batches from
/// the front, but may pass over those of a client that has its share of the batch already.
/// </summary>
/// <param name="firstArrival">Where numbers of arrival begin, so that two queues' differ.</param>
public sealed class RequestQueue(long firstArrival = 0)
{
    private StoredRequest? _last;
    private long _arrivals = firstArrival;
    private int _signed;

    public StoredRequest? First { get; private set; }
    public StoredRequest? FirstUnordered { get; private set; }
    public int Count { get; private set; }

    /// <summary>How many are in no batch yet.</summary>
    public int UnorderedCount { get; private set; }

    /// <summary>The first that came with a signature.</summary>
    public StoredRequest? FirstSigned
    {
        get
        {
            StoredRequest? request = _signed == 0 ? null : First;
            while (request is { Signed: false })
            {
                request = request.Next;
            }
            return request;
        }
    }

    public void Append(StoredRequest request)
    {
        BfsAssert.That(!request.Queued && !request.Ordered);
        request.Queued = true;
        request.Arrival = ++_arrivals;
        request.Previous = _last;
        request.Next = null;
        if (_last is null)
        {
            First = request;
        }
        else
        {
            _last.Next = request;
        }
        _last = request;
        FirstUnordered ??= request;
        Count++;
        UnorderedCount++;
        _signed += request.Signed ? 1 : 0;
    }

    /// <summary>Whether a waiting request counts as signed has changed.</summary>
    public void NoteSigned(bool signed) => _signed += signed ? 1 : -1;

    /// <summary>An unordered request goes into a batch.</summary>
    public void MarkOrdered(StoredRequest request)
    {
        BfsAssert.That(request.Queued && !request.Ordered);
        request.Ordered = true;
        UnorderedCount--;
        SkipOrdered();
    }

    private void SkipOrdered()
    {
        while (FirstUnordered is { Ordered: true })
        {
            FirstUnordered = FirstUnordered.Next;
        }
    }

    /// <summary>A new view orders everything that waits anew; what was executed meanwhile is recognised then.</summary>
    public void ForgetOrder()
    {
        for (StoredRequest? request = First; request is not null; request = request.Next)
        {
            request.Ordered = false;
        }
        FirstUnordered = First;
        UnorderedCount = Count;
    }

    public void Remove(StoredRequest request)
    {
        BfsAssert.That(request.Queued);
        if (ReferenceEquals(FirstUnordered, request))
        {
            FirstUnordered = request.Next;
            SkipOrdered();
        }
        if (request.Previous is null)
        {
            First = request.Next;
        }
        else
        {
            request.Previous.Next = request.Next;
        }
        if (request.Next is null)
        {
            _last = request.Previous;
        }
        else
        {
            request.Next.Previous = request.Previous;
        }
        request.Next = request.Previous = null;
        request.Queued = false;
        Count--;
        UnorderedCount -= request.Ordered ? 0 : 1;
        _signed -= request.Signed ? 1 : 0;
    }
}
