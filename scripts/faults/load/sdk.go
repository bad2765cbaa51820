package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// SDKs are clients as applications have them, with the retries that they come with: aws-sdk-go-v2, three
// attempts, and minio-go, ten. All fronts are behind one name, as in DNS; nobody tells them
// which are well.
type SDKs struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	stop    atomic.Bool

	mu     sync.Mutex
	report SDKReport
}

// SDKReport is what the SDKs saw.
type SDKReport struct {
	Operations int
	Failed     []string
}

func (r SDKReport) String() string {
	return fmt.Sprintf("SDKs with their own retries: %d operations, %d failed", r.Operations, len(r.Failed))
}

// each SDK has so many clients, and each of them pauses for so long between operations.
const (
	clientsEach = 2
	sdkGap      = 50 * time.Millisecond
	// commonName is the host that all fronts have in their certificates.
	commonName = "localhost"
)

// SDKs starts the clients, each with keys of its own.
func (l *Load) SDKs(ctx context.Context) (*SDKs, error) {
	if err := l.makeBucket(ctx, l.cfg.Bucket+"-sdk"); err != nil {
		return nil, err
	}
	s := &SDKs{}
	ctx, s.cancel = context.WithCancel(ctx)
	for n := range 2 * clientsEach {
		put, get := l.aws()
		if n%2 == 1 {
			put, get = l.minio()
		}
		s.running.Go(func() {
			s.run(ctx, rand.New(rand.NewPCG(l.cfg.Seed, uint64(1000+n))), fmt.Sprintf("sdk-%d-%d", l.sdks.Add(1), n), put, get)
		})
	}
	return s, nil
}

// Stop ends the clients after what they are doing.
func (s *SDKs) Stop() SDKReport {
	s.stop.Store(true)
	s.running.Wait()
	s.cancel()
	return s.report
}

type (
	putFunc func(ctx context.Context, key string, body []byte) error
	getFunc func(ctx context.Context, key string) ([]byte, error)
)

func (s *SDKs) run(ctx context.Context, r *rand.Rand, prefix string, put putFunc, get getFunc) {
	for n := 0; !s.stop.Load() && ctx.Err() == nil; n++ {
		key, body := fmt.Sprintf("%s/%06d", prefix, n%200), make([]byte, 1+r.IntN(100<<10))
		for i := range body {
			body[i] = byte(n + i*i>>8)
		}
		err := put(ctx, key, body)
		s.count("put", err)
		if err == nil {
			got, err := get(ctx, key)
			if err == nil && !bytes.Equal(got, body) {
				err = fmt.Errorf("WRONG: %s is not what was put before", key)
			}
			s.count("get", err)
		}
		wait(ctx, sdkGap/2+time.Duration(r.Int64N(int64(sdkGap))))
	}
}

func (s *SDKs) count(op string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Operations++
	if err != nil {
		s.report.Failed = append(s.report.Failed, fmt.Sprintf("%s: %v", op, err))
	}
}

// transport connects to the fronts in turn, and to the next one if one does not take the connection.
func (l *Load) transport() *http.Transport {
	var next atomic.Int64
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: l.fronts.access.Roots, ServerName: commonName}, MaxIdleConnsPerHost: 4, DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			addresses := l.fronts.addresses()
			var err error
			for range addresses {
				var c net.Conn
				d := net.Dialer{Timeout: dialTimeout}
				if c, err = d.DialContext(ctx, network, addresses[int(next.Add(1))%len(addresses)]); err == nil {
					return c, nil
				}
			}
			return nil, err
		},
	}
}

// addresses are those that DNS would have.
func (f *Fronts) addresses() (all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.all {
		all = append(all, x.Address)
	}
	return all
}

func (l *Load) aws() (putFunc, getFunc) {
	a := l.fronts.access
	c := s3.New(s3.Options{
		BaseEndpoint: aws.String("https://" + commonName + ":9000"), UsePathStyle: true, Region: "us-east-1",
		HTTPClient: &http.Client{Transport: l.transport()}, Credentials: awscredentials.NewStaticCredentialsProvider(a.User, a.Password, ""),
	})
	bucket := aws.String(l.cfg.Bucket + "-sdk")
	put := func(ctx context.Context, key string, body []byte) error {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: bytes.NewReader(body)})
		return err
	}
	get := func(ctx context.Context, key string) ([]byte, error) {
		out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key})
		if err != nil {
			return nil, err
		}
		defer out.Body.Close()
		return io.ReadAll(out.Body)
	}
	return put, get
}

func (l *Load) minio() (putFunc, getFunc) {
	a := l.fronts.access
	c, err := minio.New(commonName+":9000", &minio.Options{
		Creds: credentials.NewStaticV4(a.User, a.Password, ""), Secure: true, Transport: l.transport(), Region: "us-east-1",
	})
	if err != nil {
		panic(err) // a constant name
	}
	bucket := l.cfg.Bucket + "-sdk"
	put := func(ctx context.Context, key string, body []byte) error {
		_, err := c.PutObject(ctx, bucket, key, bytes.NewReader(body), int64(len(body)), minio.PutObjectOptions{})
		return err
	}
	get := func(ctx context.Context, key string) ([]byte, error) {
		o, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return nil, err
		}
		defer o.Close()
		return io.ReadAll(o)
	}
	return put, get
}
