package s3

import (
	"strings"

	"holdfast/bucket/encryption"
	"holdfast/internal/kind"
	"holdfast/object"
	"holdfast/seal"
)

// The headers of encryption by their canonical names.
const (
	prefixCustomer       = "X-Amz-Server-Side-Encryption-Customer-"
	prefixSourceCustomer = "X-Amz-Copy-Source-Server-Side-Encryption-Customer-"
	prefixSourceShort    = "X-Amz-Copy-Source-Server-Side-Encryption-"
	headerSSE            = "X-Amz-Server-Side-Encryption"
	suffixAlgorithm      = "Algorithm"
	suffixKey            = "Key"
	suffixKeyMD5         = "Key-Md5"

	wireSSE               = "x-amz-server-side-encryption"
	wireCustomerAlgorithm = "x-amz-server-side-encryption-customer-algorithm"
	wireCustomerMD5       = "x-amz-server-side-encryption-customer-key-MD5"
)

// noticeCustomer looks at one header by its canonical name: is it about a customer's key?
func (c *call) noticeCustomer(name string) error {
	switch {
	case strings.HasPrefix(name, prefixCustomer), strings.HasPrefix(name, prefixSourceCustomer):
		c.customerSent = true
	case strings.HasPrefix(name, prefixSourceShort):
		right := strings.ToLower(prefixSourceCustomer + name[len(prefixSourceShort):])
		return kind.New(kind.SSECMisspelledHeaders, "The header %s does not exist; the one for the key of a copy's source is %s", strings.ToLower(name), right)
	}
	return nil
}

// takeCustomer parses the SSE-C headers of the object or the destination.
func (c *call) takeCustomer() (err error) {
	c.customer, err = c.takeKey(prefixCustomer)
	return err
}

// takeSourceCustomer parses the SSE-C headers of a copy's source.
func (c *call) takeSourceCustomer() (err error) {
	c.sourceCustomer, err = c.takeKey(prefixSourceCustomer)
	return err
}

// takeKey parses one set of the three headers and drops the key from the request, so that nothing
// which prints a request later can print it. (The string stays in memory until it is collected:
// net/http made it.)
func (c *call) takeKey(prefix string) (*seal.CustomerKey, error) {
	if !c.customerSent {
		return nil, nil
	}
	h := c.r.Header
	algorithm, key, md5 := h[prefix+suffixAlgorithm], h[prefix+suffixKey], h[prefix+suffixKeyMD5]
	delete(h, prefix+suffixKey)
	if len(algorithm) == 0 && len(key) == 0 && len(md5) == 0 {
		return nil, nil
	}
	if len(algorithm) > 1 || len(key) > 1 || len(md5) > 1 {
		return nil, badArgument("A header of server-side encryption with a customer key was given more than once.")
	}
	return seal.ParseCustomer(first(algorithm), first(key), first(md5))
}

func first(v []string) string {
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

// sseHeaders are the request's headers of encryption with keys that the server keeps.
func (c *call) sseHeaders() seal.SSEHeaders {
	h := c.r.Header
	return seal.SSEHeaders{Method: h[headerSSE], KeyID: h[headerSSE+"-Aws-Kms-Key-Id"], Context: h[headerSSE+"-Context"],
		BucketKey: h[headerSSE+"-Bucket-Key-Enabled"], Customer: c.sendsCustomer()}
}

// writeEncryption is for operations that make an object or an upload: which encryption is asked for, by the request
// or by its bucket.
func (c *call) writeEncryption() error {
	asked, err := c.sseHeaders().Parse()
	if err != nil {
		return err
	}
	if err := c.takeCustomer(); err != nil {
		return err
	}
	b, err := c.bucketInfo()
	if err != nil {
		return err
	}
	conf, err := defaultEncryption(b)
	if err != nil {
		return err
	}
	if c.customer != nil {
		if conf.Blocks(c.s.cfg.BlockSSEC) {
			return plain(kind.SSECBlocked)
		}
		return nil
	}
	c.sse = asked.Resolve(bucketSSE(conf))
	if c.sse.Method == seal.SSEKMS {
		c.sse.KeyID, err = c.s.cfg.KMSNames.ID(c.sse.KeyID)
	}
	return err
}

// defaultEncryption is the bucket's document; nil without.
func defaultEncryption(b *object.BucketInfo) (*encryption.Config, error) {
	doc := b.Documents[settingEncryption]
	if len(doc) == 0 {
		return nil, nil
	}
	conf, err := encryption.Parse(string(doc))
	if err != nil { // not to encrypt would be the wrong answer
		return nil, kind.Wrap(kind.Damaged, err, "the encryption settings of bucket %q", b.Name)
	}
	return conf, nil
}

func bucketSSE(conf *encryption.Config) seal.SSE {
	if conf == nil {
		return seal.SSE{}
	}
	s := seal.SSE{KeyID: conf.KeyID, BucketKey: conf.BucketKey}
	switch conf.Algorithm {
	case encryption.SSES3:
		s.Method = seal.SSES3
	case encryption.SSEKMS:
		s.Method = seal.SSEKMS
	}
	return s
}

// readEncryption is for operations on what is there: they take the customer's key and nothing else.
func (c *call) readEncryption() error {
	if err := c.sseHeaders().Refuse(); err != nil {
		return err
	}
	return c.takeCustomer()
}

// sendsCustomer reports whether the request has a header of the object's or destination's key.
func (c *call) sendsCustomer() bool {
	if !c.customerSent {
		return false
	}
	h := c.r.Header
	return len(h[prefixCustomer+suffixAlgorithm])+len(h[prefixCustomer+suffixKey])+len(h[prefixCustomer+suffixKeyMD5]) > 0
}

// echoEncryption tells the client how the object is sealed: of a customer's key algorithm and MD5, no more.
func (c *call) echoEncryption(h *headers, sse seal.SSE) {
	if sse.Method != 0 {
		h.set(wireSSE, sse.Method.Header())
	}
	if sse.Method == seal.SSEKMS {
		h.set(wireSSE+"-aws-kms-key-id", c.s.cfg.KMSNames.ARN(sse.KeyID))
		if sse.BucketKey {
			h.set(wireSSE+"-bucket-key-enabled", "true")
		}
	}
	if c.customer == nil {
		return
	}
	h.set(wireCustomerAlgorithm, seal.Algorithm)
	h.set(wireCustomerMD5, c.customer.MD5())
}
