package wire

// TransportStats counts what a Transport has done since it was made.
type TransportStats struct {
	Messages, Frames uint64 // sent
	// Dropped are messages that found no room, or a node that was not reached. Homeless are those for
	// drives of which no node is known.
	Dropped, Homeless uint64
}

// Stats is the counts until now.
func (t *Transport) Stats() TransportStats {
	return TransportStats{
		Messages: t.counts.messages.Load(), Frames: t.counts.frames.Load(),
		Dropped: t.counts.dropped.Load(), Homeless: t.counts.homeless.Load(),
	}
}

// RouterStats counts what a Router has sent since it was made.
type RouterStats struct {
	Requests, Frames uint64
	Searches         uint64
	// Unknown are commands of which no answer came.
	Unknown uint64
}

// Stats is the counts until now.
func (r *Router) Stats() RouterStats {
	return RouterStats{
		Requests: r.counts.requests.Load(), Frames: r.counts.frames.Load(),
		Searches: r.counts.searches.Load(), Unknown: r.counts.unknown.Load(),
	}
}
