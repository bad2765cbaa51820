package s3

import (
	"net/http"

	"holdfast/bucket/acl"
	"holdfast/bucket/cors"
	"holdfast/bucket/encryption"
	"holdfast/bucket/lifecycle"
	"holdfast/bucket/lock"
	"holdfast/bucket/payer"
	"holdfast/bucket/replication"
	"holdfast/bucket/tagging"
	"holdfast/bucket/versioning"
	"holdfast/internal/kind"
	"holdfast/internal/xmlio"
	"holdfast/object"
)

// setting is a sub-resource of a bucket that is a document. One mechanism serves them all: PUT
// checks a document and stores it in its one spelling, GET sends what is stored, DELETE forgets it.
type setting struct {
	limit   int // bytes of the document
	parse   func(doc string) (xmlio.Writable, error)
	about   claims
	stored  int       // status of a PUT that did it; 0 is 200
	missing kind.Kind // what GET answers when nothing is stored

	// The rest is nil but where a setting is more than its document.

	// show is what GET answers when nothing is stored.
	show func(b *object.BucketInfo) (xmlio.Writable, error)
	// change checks a new document against the bucket, and may change more of it.
	change func(b *object.BucketInfo, w xmlio.Writable, to *object.BucketChange) error
}

// The names of the settings, which are those of their sub-resources and of their documents.
const (
	settingCORS         = "cors"
	settingEncryption   = "encryption"
	settingLifecycle    = "lifecycle"
	settingLock         = "object-lock"
	settingOwnership    = "ownershipControls"
	settingPayer        = "requestPayment"
	settingPublicAccess = "publicAccessBlock"
	settingReplication  = "replication"
	settingTagging      = "tagging"
	settingVersioning   = "versioning"
)

// settings is the table of them. Where AWS insists on Content-MD5 or a checksum, so do we.
var settings = map[string]setting{
	settingCORS:         {limit: cors.MaxBytes, parse: parsed(cors.Parse), about: claimsRequired, missing: kind.NoCORS},
	settingEncryption:   {limit: encryption.MaxBytes, parse: parsed(encryption.Parse), missing: kind.NoBucketEncryption},
	settingLifecycle:    {limit: lifecycle.MaxBytes, parse: parsed(lifecycle.Parse), about: claimsRequired, missing: kind.NoLifecycle, change: refuseLifecycle},
	settingOwnership:    {limit: acl.MaxBytes, parse: parsed(acl.ParseOwnership), missing: kind.NoOwnershipControls, change: checkOwnership},
	settingPublicAccess: {limit: acl.MaxBytes, parse: parsed(acl.ParsePublicAccessBlock), missing: kind.NoPublicAccessBlock},
	settingReplication:  {limit: replication.MaxBytes, parse: parsed(replication.Parse), missing: kind.NoReplication, change: checkReplication},
	settingTagging:      {limit: tagging.MaxBytes, parse: parsed(tagging.ParseBucket), stored: http.StatusNoContent, missing: kind.NoTagSet},
	settingPayer:        {limit: payer.MaxBytes, parse: parsed(payer.Parse), show: showPayer},
	settingLock:         {limit: lock.MaxBytes, parse: parsed(lock.Parse), about: claimsRequired, show: showLock, change: changeLock},
	settingVersioning:   {limit: versioning.MaxBytes, parse: parsed(versioning.Parse), show: showVersioning, change: changeVersioning},
}

// parsed gives the Parse functions of the packages in bucket/ one type.
func parsed[T xmlio.Writable](parse func(string) (T, error)) func(string) (xmlio.Writable, error) {
	return func(doc string) (xmlio.Writable, error) { return parse(doc) }
}

// getSetting, putSetting and deleteSetting are the handlers of the settings.

func getSetting(name string) func(*call) error {
	return func(c *call) error {
		b, err := c.bucketInfo()
		if err != nil {
			return err
		}
		doc, s := b.Documents[name], settings[name]
		switch {
		case len(doc) > 0:
		case s.show == nil:
			return plain(s.missing)
		default:
			w, err := s.show(b)
			if err != nil {
				return err
			}
			doc = []byte(xmlio.Document(w))
		}
		c.sendDocument(doc)
		return nil
	}
}

func putSetting(name string) func(*call) error {
	return func(c *call) error {
		s := settings[name]
		text, err := c.readBody(int64(s.limit), s.about)
		if err != nil {
			return err
		}
		w, err := s.parse(text)
		if err != nil {
			return err
		}
		to := object.BucketChange{Documents: map[string][]byte{name: []byte(xmlio.Document(w))}}
		if s.change != nil {
			b, err := c.bucketInfo()
			if err != nil {
				return err
			}
			if err := s.change(b, w, &to); err != nil {
				return err
			}
		}
		if _, err := c.s.cfg.Engine.UpdateBucket(c.ctx, c.bucket, to); err != nil {
			return err
		}
		c.sendEmpty(max(s.stored, http.StatusOK))
		return nil
	}
}

func deleteSetting(name string) func(*call) error {
	return func(c *call) error {
		if _, err := c.s.cfg.Engine.UpdateBucket(c.ctx, c.bucket, object.BucketChange{Documents: map[string][]byte{name: nil}}); err != nil {
			return err
		}
		c.sendEmpty(http.StatusNoContent)
		return nil
	}
}

func showPayer(*object.BucketInfo) (xmlio.Writable, error) { return payer.BucketOwner, nil }

func checkReplication(b *object.BucketInfo, _ xmlio.Writable, _ *object.BucketChange) error {
	if versioningOf(b) != versioning.Enabled {
		return badRequest("Versioning must be 'Enabled' on the bucket to apply a replication configuration")
	}
	return nil
}

// refuseLifecycle: rules that nobody carries out must not be taken.
func refuseLifecycle(*object.BucketInfo, xmlio.Writable, *object.BucketChange) error {
	return unbuilt("Carrying out lifecycle rules")
}

// checkOwnership takes the ownership under which ACLs are off, until they are honoured.
func checkOwnership(_ *object.BucketInfo, w xmlio.Writable, _ *object.BucketChange) error {
	if w != xmlio.Writable(acl.Enforced) {
		return unbuilt("Object ownership other than BucketOwnerEnforced")
	}
	return nil
}
