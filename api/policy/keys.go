package policy

import "strings"

// keySet is a set of groups of S3's condition keys. Keys of aws: apply to every action.
type keySet uint32

const (
	keysAll         keySet = 1 << iota // every action has these
	keysList                           // of a listing
	keysACL                            // x-amz-acl and x-amz-grant-…
	keysVersion                        // the version that is asked for
	keysExistingTag                    // the object's tags
	keysRequestTag                     // tags in the request
	keysPut                            // headers of a write
	keysEncryption                     // of a write
	keysCopy                           // of a copy
	keysLock                           // retention and legal hold
	keysRetention                      // what is left of a retention
	keysWrite                          // If-Match, If-None-Match
	keysCreate                         // of a new bucket
	keysOwnership
	keysInventory
	keysBucketTag
	keysOther // of what Holdfast has not: access points, jobs
)

// s3Keys are S3's own condition keys in lower case; those that end in / are followed by a tag's key.
var s3Keys = map[string]keySet{
	"s3:authtype":             keysAll, // REST-HEADER, REST-QUERY-STRING or POST
	"s3:resourceaccount":      keysAll,
	"s3:signatureage":         keysAll, // milliseconds, of a presigned URL
	"s3:signatureversion":     keysAll, // AWS4-HMAC-SHA256
	"s3:tlsversion":           keysAll, // 1.2, 1.3
	"s3:x-amz-content-sha256": keysAll,

	"s3:prefix":    keysList,
	"s3:delimiter": keysList,
	"s3:max-keys":  keysList,

	"s3:x-amz-acl":                keysACL,
	"s3:x-amz-grant-full-control": keysACL,
	"s3:x-amz-grant-read":         keysACL,
	"s3:x-amz-grant-read-acp":     keysACL,
	"s3:x-amz-grant-write":        keysACL,
	"s3:x-amz-grant-write-acp":    keysACL,

	"s3:versionid":            keysVersion,
	"s3:existingobjecttag/":   keysExistingTag,
	"s3:requestobjecttag/":    keysRequestTag,
	"s3:requestobjecttagkeys": keysRequestTag,
	"s3:buckettag/":           keysBucketTag,

	"s3:x-amz-storage-class":                             keysPut,
	"s3:x-amz-website-redirect-location":                 keysPut,
	"s3:objectcreationoperation":                         keysPut,
	"s3:x-amz-server-side-encryption":                    keysEncryption,
	"s3:x-amz-server-side-encryption-aws-kms-key-id":     keysEncryption,
	"s3:x-amz-server-side-encryption-customer-algorithm": keysEncryption,
	"s3:x-amz-copy-source":                               keysCopy,
	"s3:x-amz-metadata-directive":                        keysCopy,
	"s3:if-match":                                        keysWrite,
	"s3:if-none-match":                                   keysWrite,
	"s3:object-lock-mode":                                keysLock,
	"s3:object-lock-legal-hold":                          keysLock,
	"s3:object-lock-retain-until-date":                   keysLock,
	"s3:object-lock-remaining-retention-days":            keysLock | keysRetention,
	"s3:locationconstraint":                              keysCreate,
	"s3:x-amz-object-ownership":                          keysOwnership,
	"s3:inventoryaccessibleoptionalfields":               keysInventory,
	"s3:dataaccesspointaccount":                          keysAll,
	"s3:dataaccesspointarn":                              keysAll,
	"s3:accesspointnetworkorigin":                        keysAll,
	"s3:accessgrantsinstancearn":                         keysAll,
	"s3:accesspointtag/":                                 keysOther,
	"s3:destinationregion":                               keysOther,
	"s3:existingjoboperation":                            keysOther,
	"s3:existingjobpriority":                             keysOther,
	"s3:isreplicationpauserequest":                       keysOther,
	"s3:jobsuspendedcause":                               keysOther,
	"s3:requestjoboperation":                             keysOther,
	"s3:requestjobpriority":                              keysOther,
}

// ConditionKeys are the keys of S3, in lower case, that a request for the action should bring, where it
// has them; a key that ends in / stands for one key a tag. The keys of aws: (sourceip, securetransport, referer,
// useragent, principaltag/…, requestedregion, and those of Derived) go with every action.
func ConditionKeys(action string) []string {
	groups := keysAll
	for i := range s3Actions {
		if strings.EqualFold(s3Actions[i].name, action) {
			groups |= s3Actions[i].keys
		}
	}
	var all []string
	for key, g := range s3Keys {
		if g&groups != 0 {
			all = append(all, key)
		}
	}
	return sorted(all)
}
