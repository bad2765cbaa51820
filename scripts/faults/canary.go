package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"holdfast/scripts/faults/sniff"
)

// canaries are byte strings that must, or must not, be found.
type canaries struct {
	key                  []byte // SSE-C
	sealed, plain, clear string // contents: SSE-C and plain over HTTPS, plain over HTTP
}

func newCanaries() *canaries {
	text := func(kind string) string {
		random := make([]byte, 12)
		_, _ = rand.Read(random) // never fails
		return "holdfast-canary-" + kind + "-" + hex.EncodeToString(random) + ";"
	}
	c := &canaries{key: make([]byte, 32), sealed: text("sealed"), plain: text("plain"), clear: text("clear")}
	_, _ = rand.Read(c.key)
	return c
}

const (
	sealedName = "the content of an SSE-C object"
	plainName  = "the content of a plain object put by HTTPS"
	clearName  = "the content of an object put by HTTP"
)

// secrets are what nobody but the client, and a node's memory, may have.
func (c *canaries) secrets() map[string][]byte {
	sum := md5.Sum(c.key)
	return map[string][]byte{
		sealedName:               []byte(c.sealed),
		"an SSE-C key":           c.key,
		"an SSE-C key, base64":   []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(c.key), "=")),
		"an SSE-C key, hex":      []byte(hex.EncodeToString(c.key)),
		"an SSE-C key's MD5":     sum[:],
		"the same in base64":     []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(sum[:]), "=")),
		"the root user's secret": []byte(secretKey),
	}
}

// sizes of the objects with canaries: inlined, in the log, in files of their own over several stripes.
func canarySizes() []int { return []int{3 << 10, 100 << 10, 5 << 20} }

const canaryBucket = "canaries"

// listenIn writes and reads objects with canaries through every front, while it captures what the
// nodes send to each other.
func (s *scene) listenIn(ctx context.Context) error {
	s.canaries = newCanaries()
	patterns := s.canaries.secrets()
	patterns[plainName], patterns[clearName] = []byte(s.canaries.plain), []byte(s.canaries.clear)
	var hosts []netip.Addr
	for _, m := range s.fleet.all() {
		hosts = append(hosts, netip.MustParseAddr(m.host.IP))
	}
	capture, err := sniff.Start(hosts, patterns)
	if err != nil {
		return err
	}
	listening, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- capture.Run(listening) }()
	errSent := s.sing(ctx)
	report := capture.Report()
	stop()
	if err := errors.Join(errSent, <-ended, capture.Close()); err != nil {
		return err
	}
	s.say("capture: %d packets (%.1f MB) between nodes, %d dropped; control found in %d (%s)",
		report.Packets, float64(report.Bytes)/1e6, report.Dropped, report.Found[clearName], report.First[clearName])
	var errs []error
	if report.Found[clearName] == 0 || report.Dropped > 0 {
		errs = append(errs, errors.New("the capture missed what it had to see, and proves nothing"))
	}
	delete(report.Found, clearName)
	for name, n := range report.Found {
		errs = append(errs, fmt.Errorf("%s was in %d packets between nodes, first %s", name, n, report.First[name]))
	}
	return errors.Join(errs...)
}

// sing puts and gets the objects.
func (s *scene) sing(ctx context.Context) error {
	sse, err := encrypt.NewSSEC(s.canaries.key)
	if err != nil {
		return err
	}
	all := s.fleet.all()
	clients := make([]*minio.Client, len(all))
	for i, m := range all {
		if clients[i], err = s.client(m, true, m.front.HTTP().Transport); err != nil {
			return err
		}
	}
	if err := clients[0].MakeBucket(ctx, canaryBucket, minio.MakeBucketOptions{}); err != nil {
		return err
	}
	for i, c := range clients {
		for _, size := range canarySizes() {
			next := clients[(i+1)%len(clients)]
			name := fmt.Sprintf("%s/%d", all[i].host.Name, size)
			if err := errors.Join(
				carry(ctx, c, next, "sealed/"+name, s.canaries.sealed, size, sse),
				carry(ctx, c, next, "plain/"+name, s.canaries.plain, size, nil),
			); err != nil {
				return err
			}
		}
	}
	return s.control(ctx, all[0], all[1])
}

// carry puts an object through one front and gets it through another.
func carry(ctx context.Context, in, out *minio.Client, key, canary string, size int, sse encrypt.ServerSide) error {
	body := bytes.Repeat([]byte(canary), size/len(canary)+1)
	if _, err := in.PutObject(ctx, canaryBucket, key, bytes.NewReader(body), int64(len(body)), minio.PutObjectOptions{ServerSideEncryption: sse}); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	o, err := out.GetObject(ctx, canaryBucket, key, minio.GetObjectOptions{ServerSideEncryption: sse})
	if err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	defer o.Close()
	got, err := io.ReadAll(o)
	if err == nil && !bytes.Equal(got, body) {
		err = errors.New("it is not what was put")
	}
	if err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	return nil
}

// control sends a canary in the clear from one node's host to another node, as a proof that the capture
// sees what is there to be seen.
func (s *scene) control(ctx context.Context, from, to *member) error {
	c, err := s.client(to, false, &http.Transport{DialContext: from.host.Dial, DisableKeepAlives: true})
	if err != nil {
		return err
	}
	return carry(ctx, c, c, "clear", s.canaries.clear, 100<<10, nil)
}

func (s *scene) client(m *member, secure bool, t http.RoundTripper) (*minio.Client, error) {
	return minio.New(m.address(), &minio.Options{
		Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Secure: secure, Transport: t, Region: "us-east-1",
	})
}

// searchFiles looks for the canaries in all that the nodes have written: drives, certificates and logs.
func (s *scene) searchFiles() error {
	if s.canaries == nil {
		return nil
	}
	patterns := s.canaries.secrets()
	patterns[plainName] = []byte(s.canaries.plain)
	hits, size, err := sniff.Search(s.fleet.dir, patterns)
	if err != nil {
		return err
	}
	s.say("files: %.0f MB searched; control found in %d files", float64(size)/1e6, len(hits[plainName]))
	var errs []error
	if len(hits[plainName]) == 0 {
		errs = append(errs, errors.New("the search did not find the content of plain objects, and proves nothing"))
	}
	delete(hits, plainName)
	for name, files := range hits {
		errs = append(errs, fmt.Errorf("%s is in %s", name, strings.Join(files, ", ")))
	}
	return errors.Join(errs...)
}
