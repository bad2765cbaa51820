package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Front is a node that clients talk to.
type Front struct {
	Name, Address string
	transport     *http.Transport
	core          *minio.Core
}

// HTTP is a client for what is not S3.
func (f *Front) HTTP() *http.Client { return &http.Client{Transport: f.transport} }

// Condition is how a front is, as far as those who broke it know.
type Condition int

// The conditions of a front.
const (
	Well  Condition = iota
	Cut             // it runs, and does not reach the others: it must answer, even if by an error
	Dead            // killed, stopped or paused: nobody may expect an answer
	Gone            // not there any more, or not yet
	Going           // it is told to stop: it answers what it has begun
)

// Access is how the fronts are talked to.
type Access struct {
	User, Password string
	Roots          *x509.CertPool
	// ServerName is what certificates are checked for; "" is each front's own address.
	ServerName string
}

// Fronts are all nodes that clients may talk to.
type Fronts struct {
	access Access
	mu     sync.Mutex
	all    []*Front
	how    map[*Front]Condition
	ills   []ill
	next   int
}

// ill is a time in which a front was not well.
type ill struct {
	front *Front
	how   Condition
	until time.Time
}

// NewFronts has none yet.
func NewFronts(a Access) *Fronts {
	return &Fronts{access: a, how: map[*Front]Condition{}}
}

const dialTimeout = 2 * time.Second

// Add makes a front known, or returns the one of that name.
func (f *Fronts) Add(name, address string) (*Front, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.IndexFunc(f.all, func(x *Front) bool { return x.Name == name }); i >= 0 {
		return f.all[i], nil
	}
	x := &Front{Name: name, Address: address, transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: f.access.Roots, ServerName: f.access.ServerName},
		TLSHandshakeTimeout: attemptLimit, MaxIdleConnsPerHost: 64, DisableCompression: true,
	}}
	client, err := minio.New(address, &minio.Options{
		Creds: credentials.NewStaticV4(f.access.User, f.access.Password, ""), Secure: true, Transport: x.transport, MaxRetries: 1, Region: "us-east-1",
	})
	if err != nil {
		return nil, fmt.Errorf("load: front %s: %w", name, err)
	}
	x.core = &minio.Core{Client: client}
	f.all = append(f.all, x)
	return x, nil
}

// Set says how a front is from now on. Connections to one that went are not used again.
func (f *Fronts) Set(name string, how Condition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.all {
		if x.Name == name {
			if was := f.how[x]; was != Well {
				f.ills = append(f.ills, ill{x, was, time.Now()})
			}
			f.how[x] = how
			if how == Dead || how == Gone {
				x.transport.CloseIdleConnections()
			}
		}
	}
}

// since is the worst condition of a front from a moment on: what may excuse a request begun then.
func (f *Fronts) since(x *Front, begin time.Time) Condition {
	f.mu.Lock()
	defer f.mu.Unlock()
	how := f.how[x]
	for i := len(f.ills) - 1; i >= 0 && f.ills[i].until.After(begin); i-- {
		if f.ills[i].front == x {
			how = worst(how, f.ills[i].how)
		}
	}
	return how
}

// condition is how a front is now.
func (f *Fronts) condition(x *Front) Condition {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.how[x]
}

// healthy is the next front that is well; any, if none is.
func (f *Fronts) healthy() *Front {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range f.all {
		f.next++
		if x := f.all[f.next%len(f.all)]; f.how[x] == Well {
			return x
		}
	}
	f.next++
	return f.all[f.next%len(f.all)]
}

// struck is a front that is not well but may be talked to, or nil.
func (f *Fronts) struck() *Front {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.all {
		if how := f.how[x]; how == Cut || how == Dead {
			return x
		}
	}
	return nil
}

// await waits until some front is well.
func (f *Fronts) await(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if x := f.healthy(); f.condition(x) == Well {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
