package s3

import (
	"net/http"

	"holdfast/bucket/lock"
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
	"holdfast/object"
	"holdfast/proto/metapb"
)

// The headers of object lock.
const (
	headerLockEnabled = "X-Amz-Bucket-Object-Lock-Enabled"
	headerLockMode    = "X-Amz-Object-Lock-Mode"
	headerLockUntil   = "X-Amz-Object-Lock-Retain-Until-Date"
	headerLockHold    = "X-Amz-Object-Lock-Legal-Hold"
	headerLockBypass  = "X-Amz-Bypass-Governance-Retention"
)

func showLock(b *object.BucketInfo) (xmlio.Writable, error) {
	if !b.ObjectLock {
		return nil, plain(kind.NoBucketLock)
	}
	return &lock.Config{}, nil
}

// changeLock lets object lock be switched on for a bucket that is versioned, as AWS does since 2023.
func changeLock(b *object.BucketInfo, _ xmlio.Writable, to *object.BucketChange) error {
	to.ObjectLock = true
	if b.ObjectLock {
		return nil
	}
	return lock.CheckEnable(versioningOf(b))
}

// wantsBypass reports whether the client asks to go past governance. It is no permission: whoever
// authorises the request has to look at it too.
func (c *call) wantsBypass() bool { return c.header(headerLockBypass) == "true" }

// lockedBucket refuses a bucket without object lock.
func (c *call) lockedBucket() error {
	b, err := c.bucketInfo()
	if err != nil {
		return err
	}
	return lock.CheckBucket(b.ObjectLock)
}

// getObjectRetention sends a version's retention.
func (c *call) getObjectRetention() error {
	if err := c.lockedBucket(); err != nil {
		return err
	}
	i, err := c.stat()
	if err != nil {
		return err
	}
	if i.Retention == nil || i.Retention.Mode == metapb.Retention_NONE {
		return plain(kind.NoObjectLock)
	}
	c.echoVersion(i.VersionID)
	c.sendDocument([]byte(xmlio.Document(retentionOf(i.Retention))))
	return nil
}

// putObjectRetention sets, prolongs or, where that is allowed, shortens a version's retention.
func (c *call) putObjectRetention() error {
	text, err := c.readBody(lock.MaxBytes, claimsRequired)
	if err != nil {
		return err
	}
	if err := c.lockedBucket(); err != nil {
		return err
	}
	r, err := lock.ParseRetention(text, c.s.cfg.Now())
	if err != nil {
		return err
	}
	if err := c.update(object.UpdateRequest{Retention: recordOf(r), BypassGovernance: c.wantsBypass()}); err != nil {
		return err
	}
	c.sendEmpty(http.StatusOK)
	return nil
}

// getObjectLegalHold tells whether a version is held.
func (c *call) getObjectLegalHold() error {
	if err := c.lockedBucket(); err != nil {
		return err
	}
	i, err := c.stat()
	if err != nil {
		return err
	}
	c.echoVersion(i.VersionID)
	c.sendDocument([]byte(xmlio.Document(lock.Hold(i.LegalHold))))
	return nil
}

// putObjectLegalHold holds a version, or lets it go.
func (c *call) putObjectLegalHold() error {
	text, err := c.readBody(lock.MaxBytes, claimsRequired)
	if err != nil {
		return err
	}
	if err := c.lockedBucket(); err != nil {
		return err
	}
	hold, err := lock.ParseHold(text)
	if err != nil {
		return err
	}
	held := bool(hold)
	if err := c.update(object.UpdateRequest{LegalHold: &held}); err != nil {
		return err
	}
	c.sendEmpty(http.StatusOK)
	return nil
}

// protection is what a new version is protected by: its headers, and the bucket's default where
// they name no retention. What cannot be read is no reason to store something unprotected.
func (c *call) protection() (object.Protection, error) {
	var p object.Protection
	h := lock.Headers{Mode: c.header(headerLockMode), Until: c.header(headerLockUntil), Hold: c.header(headerLockHold)}
	b, err := c.bucketInfo()
	if err != nil {
		return p, err
	}
	if h.Any() {
		if err := lock.CheckBucket(b.ObjectLock); err != nil {
			return p, err
		}
	}
	now := c.s.cfg.Now()
	r, hold, err := h.Parse(now)
	if err != nil {
		return p, err
	}
	if r.Mode == lock.NoMode && b.ObjectLock {
		if r, err = defaultRetention(b, c); err != nil {
			return p, err
		}
	}
	p.LegalHold = bool(hold)
	if r.Mode != lock.NoMode {
		p.Retention = recordOf(r)
	}
	return p, nil
}

func defaultRetention(b *object.BucketInfo, c *call) (lock.Retention, error) {
	doc := b.Documents[settingLock]
	if len(doc) == 0 {
		return lock.Retention{}, nil
	}
	config, err := lock.Parse(string(doc))
	if err != nil {
		return lock.Retention{}, kind.Wrap(kind.Damaged, err, "the object lock configuration of bucket %q cannot be read", b.Name)
	}
	return config.Default.Retention(c.s.cfg.Now(), b.Created), nil // a clock from before the bucket is wrong
}

// checkLockClaims is for a body that will be protected: AWS wants it vouched for.
func checkLockClaims(a *object.Attributes, u *received) error {
	if (a.Retention != nil || a.LegalHold) && u.md5 == nil && u.checksum == nil {
		return badRequest("Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters")
	}
	return nil
}

// echoLock describes a version's protection.
func echoLock(h *headers, p *object.Protection) {
	if r := retentionOf(p.Retention); r.Mode != lock.NoMode {
		h.set("x-amz-object-lock-mode", string(r.Mode))
		h.set("x-amz-object-lock-retain-until-date", r.Date())
	}
	if p.LegalHold {
		h.set("x-amz-object-lock-legal-hold", lock.Hold(true).String())
	}
}

// retentionOf and recordOf go between a stored retention and its document.

func retentionOf(r *object.Retention) lock.Retention {
	if r == nil {
		return lock.Retention{}
	}
	switch r.Mode {
	case metapb.Retention_GOVERNANCE:
		return lock.Retention{Mode: lock.Governance, Until: r.Until}
	case metapb.Retention_COMPLIANCE:
		return lock.Retention{Mode: lock.Compliance, Until: r.Until}
	}
	return lock.Retention{}
}

func recordOf(r lock.Retention) *object.Retention {
	to := &object.Retention{Until: r.Until}
	switch r.Mode {
	case lock.Governance:
		to.Mode = metapb.Retention_GOVERNANCE
	case lock.Compliance:
		to.Mode = metapb.Retention_COMPLIANCE
	}
	return to
}
