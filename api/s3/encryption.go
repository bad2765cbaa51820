package s3

import (
	"strings"

	"holdfast/internal/kind"
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

// writeEncryption is for operations that make an object or an upload: which encryption is asked for.
func (c *call) writeEncryption() error {
	method, asked := c.r.Header[headerSSE]
	other := asked
	for _, name := range []string{"Aws-Kms-Key-Id", "Context", "Bucket-Key-Enabled"} {
		if _, ok := c.r.Header[headerSSE+"-"+name]; ok {
			other = true
		}
	}
	switch {
	case !other:
		return c.takeCustomer()
	case c.sendsCustomer():
		return plain(kind.SSECIncompatible)
	case asked && first(method) == "AES256":
		return unbuilt("Server-side encryption with keys that the server manages (x-amz-server-side-encryption: AES256)")
	case !asked || first(method) == "aws:kms" || first(method) == "aws:kms:dsse":
		return unbuilt("Server-side encryption with keys of a key management service (x-amz-server-side-encryption: aws:kms)")
	}
	return badArgument("The encryption method specified is not supported")
}

// readEncryption is for operations on what is there: they take the customer's key and nothing else.
func (c *call) readEncryption() error {
	if _, asked := c.r.Header[headerSSE]; asked {
		if c.sendsCustomer() {
			return plain(kind.SSECIncompatible)
		}
		return badArgument("x-amz-server-side-encryption header is not supported for this operation.")
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

// echoCustomer tells the client by which key the object is sealed: algorithm and MD5, no more.
func (c *call) echoCustomer(h *headers) {
	if c.customer == nil {
		return
	}
	h.set(wireCustomerAlgorithm, seal.Algorithm)
	h.set(wireCustomerMD5, c.customer.MD5())
}
