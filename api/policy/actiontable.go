package policy

import (
	"slices"
	"strings"
)

// level says what an action is about.
type level uint8

const (
	onAccount level = 0
	onBucket  level = 1 << iota
	onObject
)

// s3Action is an action that S3 has, also where Holdfast does not: a policy may name it.
type s3Action struct {
	name      string
	lowerName string
	level     level
	keys      keySet
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// Actions are all actions of S3 which a bucket policy may name.
func Actions() []string {
	all := make([]string, 0, len(s3Actions))
	for i := range s3Actions {
		all = append(all, s3Actions[i].name)
	}
	return sorted(all)
}

const (
	objectRead  = keysExistingTag
	objectWrite = keysPut | keysACL | keysEncryption | keysCopy | keysRequestTag | keysLock | keysWrite
)

// s3Actions is the table of "Actions, resources, and condition keys for Amazon S3".
var s3Actions = func() []s3Action {
	var all []s3Action
	add := func(l level, keys keySet, names ...string) {
		for _, n := range names {
			n = "s3:" + strings.TrimPrefix(n, "s3:")
			all = append(all, s3Action{name: n, lowerName: strings.ToLower(n), level: l, keys: keys | keysAll})
		}
	}
	add(onObject, objectRead, GetObject, GetObjectAcl, GetObjectTagging, GetObjectAttributes, "GetObjectTorrent")
	add(onObject, objectRead|keysVersion, GetObjectVersion, GetObjectVersionAcl, GetObjectVersionTagging, GetObjectVersionAttributes, "GetObjectVersionTorrent")
	add(onObject, 0, GetObjectLegalHold, GetObjectRetention, GetObjectVersionForReplication, RestoreObject, ListMultipartUploadParts, AbortMultipartUpload)
	add(onObject, objectWrite, PutObject)
	add(onObject, keysACL|keysPut|keysExistingTag, PutObjectAcl)
	add(onObject, keysACL|keysPut|keysExistingTag|keysVersion, PutObjectVersionAcl)
	add(onObject, keysRequestTag|keysExistingTag, PutObjectTagging)
	add(onObject, keysRequestTag|keysExistingTag|keysVersion, PutObjectVersionTagging)
	add(onObject, keysExistingTag, DeleteObjectTagging)
	add(onObject, keysExistingTag|keysVersion, DeleteObjectVersionTagging)
	add(onObject, keysWrite, DeleteObject)
	add(onObject, keysVersion|keysWrite, DeleteObjectVersion)
	add(onObject, keysLock, PutObjectLegalHold, PutObjectRetention, BypassGovernanceRetention)
	add(onObject, keysEncryption|keysOther, ReplicateObject, ReplicateDelete, ReplicateTags, "ObjectOwnerOverrideToBucketOwner", "InitiateReplication",
		"UpdateObjectEncryption")

	add(onBucket, keysList|keysBucketTag, ListBucket, ListBucketVersions)
	add(onBucket, keysBucketTag, ListBucketMultipartUploads)
	add(onBucket, keysACL|keysCreate|keysOwnership, CreateBucket)
	add(onBucket, keysACL|keysBucketTag, PutBucketAcl)
	add(onBucket, keysOwnership|keysBucketTag, PutBucketOwnershipControls)
	add(onBucket, keysInventory|keysBucketTag, PutInventoryConfiguration)
	add(onBucket, keysOther|keysBucketTag, PutReplicationConfiguration, "PauseReplication")
	add(onBucket, keysBucketTag, DeleteBucket, DeleteBucketPolicy, DeleteBucketWebsite,
		GetAccelerateConfiguration, GetAnalyticsConfiguration, GetBucketAcl, GetBucketCORS, GetBucketLocation, GetBucketLogging, GetBucketNotification,
		GetBucketObjectLockConfiguration, GetBucketOwnershipControls, GetBucketPolicy, GetBucketPolicyStatus, GetBucketPublicAccessBlock,
		GetBucketRequestPayment, GetBucketTagging, GetBucketVersioning, GetBucketWebsite, GetEncryptionConfiguration, GetIntelligentTiering,
		GetInventoryConfiguration, GetLifecycleConfiguration, GetMetricsConfiguration, GetReplicationConfiguration,
		PutAccelerateConfiguration, PutAnalyticsConfiguration, PutBucketCORS, PutBucketLogging, PutBucketNotification,
		PutBucketPolicy, PutBucketPublicAccessBlock, PutBucketRequestPayment, PutBucketTagging, PutBucketVersioning, PutBucketWebsite,
		PutEncryptionConfiguration, PutIntelligentTiering, PutLifecycleConfiguration, PutMetricsConfiguration,
		"GetBucketAbac", "PutBucketAbac", "CreateBucketMetadataTableConfiguration", "GetBucketMetadataTableConfiguration",
		"DeleteBucketMetadataTableConfiguration", "UpdateBucketMetadataInventoryTableConfiguration", "UpdateBucketMetadataJournalTableConfiguration",
		"TagResource", "UntagResource", "ListTagsForResource")
	// The lock's configuration is asked about with the days it would set.
	add(onBucket, keysRetention|keysLock|keysBucketTag, PutBucketObjectLockConfiguration)

	add(onAccount, 0, ListAllMyBuckets, "GetAccountPublicAccessBlock", "PutAccountPublicAccessBlock", "ListAccessPoints", "CreateAccessPoint",
		"DeleteAccessPoint", "GetAccessPoint", "PutAccessPointPolicy", "GetAccessPointPolicy", "DeleteAccessPointPolicy", "CreateJob", "DescribeJob",
		"ListJobs", "UpdateJobPriority", "UpdateJobStatus", "PutStorageLensConfiguration", "GetStorageLensConfiguration", "ListStorageLensConfigurations")
	return all
}()

// lowerActions spares Evaluate to fold the case of an action that it knows.
var lowerActions = func() map[string]string {
	m := make(map[string]string, len(s3Actions))
	for i := range s3Actions {
		m[s3Actions[i].name] = s3Actions[i].lowerName
	}
	return m
}()
