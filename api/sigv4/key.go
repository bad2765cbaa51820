package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
)

// signingKey is the secret of one access key for one day, region and service.
type signingKey [sha256.Size]byte

// Format keeps the key out of every message, whatever the verb.
func (signingKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("REDACTED")) }

// deriveKey is the four HMACs of "Calculate Signature".
func deriveKey(secret, day, region, service string) signingKey {
	k := mac([]byte("AWS4"+secret), day)
	k = mac(k[:], region)
	k = mac(k[:], service)
	return mac(k[:], "aws4_request")
}

func mac(key []byte, msg string) (out signingKey) {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(msg))
	h.Sum(out[:0])
	return out
}

// keyName is what a signing key was derived from. The secret is part of it, so a changed secret
// finds no key of the old one.
type keyName struct{ access, secret, day, region string }

// keyCache remembers derived keys in two generations of keyCacheSize each: when the young one is
// full the old one is dropped. Only keys of verified requests get in, so nobody without
// credentials can push others out.
type keyCache struct {
	mu         sync.RWMutex
	young, old map[keyName]*signingKey
}

func (c *keyCache) get(n keyName) *signingKey {
	c.mu.RLock()
	k, young := c.young[n]
	if !young {
		k = c.old[n]
	}
	c.mu.RUnlock()
	if k != nil && !young {
		c.put(n, k)
	}
	return k
}

func (c *keyCache) put(n keyName, k *signingKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= keyCacheSize || c.young == nil {
		c.old = c.young
		c.young = make(map[keyName]*signingKey)
	}
	c.young[n] = k
}

// authenticate compares the request's signature with the one of the looked-up secret. Every
// failure costs one lookup, one derivation and one HMAC, whether the key is unknown, known or cached.
func (v *Verifier) authenticate(r *http.Request, a *auth, s *scratch, payloadHash string) (Identity, error) {
	creds, known, err := v.cfg.Lookup(r.Context(), a.accessKey)
	if err == nil && known && creds.Session != nil {
		creds, err = creds.Session(r.Context(), a.token)
	}
	if err != nil {
		return Identity{}, err
	}
	if known = known && creds.SecretKey != ""; !known { // anybody can sign with an empty secret
		creds = Credentials{SecretKey: "an access key that does not exist, as long as a real one"}
	}
	name := keyName{a.accessKey, creds.SecretKey, a.day, a.region}
	key := v.keys.get(name)
	cached := key != nil
	if !cached {
		k := deriveKey(creds.SecretKey, a.day, a.region, v.cfg.Service)
		key = &k
	}
	c := &Chain{key: key, date: a.dateText, scope: a.scope}
	s.buf = appendCanonical(s.buf[:0], r, a, s, payloadHash)
	s.buf = c.sign(s.buf)
	ok := subtle.ConstantTimeCompare(c.prev[:], a.signature[:]) == 1
	if !ok || !known {
		if cached {
			_ = deriveKey(creds.SecretKey, a.day, a.region, v.cfg.Service) // as much work as without the cache
		}
		if !known {
			return Identity{}, unknownKey()
		}
		return Identity{}, signatureMismatch()
	}
	if subtle.ConstantTimeCompare([]byte(creds.SessionToken), []byte(a.token)) != 1 {
		return Identity{}, invalidToken()
	}
	now := v.cfg.Now()
	if !creds.Expires.IsZero() && !now.Before(creds.Expires) {
		return Identity{}, expiredToken()
	}
	if !cached {
		v.keys.put(name, key)
	}
	if w, ok := creds.Who.(Witness); ok {
		w.Authenticated(a.service, a.region, now)
	}
	return Identity{
		AccessKey: a.accessKey, Presigned: a.form == formQuery, Signed: a.date, Region: a.region,
		SignedHeaders: a.signed, Who: creds.Who, chain: c,
	}, nil
}

// sign makes the seed signature of a canonical request, and uses its buffer for the string to sign.
func (c *Chain) sign(canonical []byte) []byte {
	sum := sha256.Sum256(canonical)
	b := append(canonical[:0], algorithm...)
	b = append(b, '\n')
	b = append(b, c.date...)
	b = append(b, '\n')
	b = append(b, c.scope...)
	b = append(b, '\n')
	b = hex.AppendEncode(b, sum[:])
	h := hmac.New(sha256.New, c.key[:])
	h.Write(b)
	var raw [sha256.Size]byte
	hex.Encode(c.prev[:], h.Sum(raw[:0]))
	return b
}
