package gossip

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// limiter lets one line through each quiet time for each key.
type limiter struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// maxLimited bounds the keys: they hold addresses that strangers choose.
const maxLimited = 1024

func (l *limiter) allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[key]; ok && now.Sub(last) < quiet {
		return false
	}
	if len(l.last) >= maxLimited {
		clear(l.last)
	}
	l.last[key] = now
	return true
}

// logLines takes memberlist's log apart: it has lines of text with a level in front.
type logLines struct{ g *Gossip }

// undecipherable is how memberlist says that a message was encrypted with another key.
const undecipherable = "o installed keys could decrypt the message"

// routine are the warnings of which this package says more, or which mean nothing on their own.
var routine = []string{
	"Failed fallback TCP ping", "Push/Pull with", "Failed to send", "Refuting", "Got ping for unexpected node",
	"failed to receive", "Failed push/pull merge", "Ignoring", "ignoring", "Failed to resolve", "Failed to forward",
}

func (l *logLines) Write(b []byte) (int, error) {
	line := strings.TrimSpace(string(b))
	g := l.g
	if strings.Contains(line, undecipherable) {
		_, from, _ := strings.Cut(line, "from=")
		from, _, _ = strings.Cut(from, " ")
		host, _, _ := strings.Cut(from, ":") // the port of a stream is a new one each time
		if g.limited.allow("secret "+host, time.Now()) {
			g.cfg.Logger.Warn("a peer has another cluster secret, and is not understood", "address", from)
		}
		return len(b), nil
	}
	level := slog.LevelDebug
	if _, rest, ok := strings.Cut(line, " ["); ok { // behind the date
		line = "[" + rest
	}
	mark, text, _ := strings.Cut(line, " ")
	if mark == "[ERR]" || mark == "[ERROR]" || mark == "[WARN]" {
		level = slog.LevelWarn
	}
	text = strings.TrimPrefix(text, "memberlist: ")
	for _, r := range routine {
		if strings.HasPrefix(text, r) {
			level = slog.LevelDebug
		}
	}
	head, _, _ := strings.Cut(text, ":")
	if level > slog.LevelDebug && !g.limited.allow("line "+head, time.Now()) {
		level = slog.LevelDebug
	}
	g.cfg.Logger.Log(context.Background(), level, "gossip: "+text)
	return len(b), nil
}
