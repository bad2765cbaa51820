package s3

import "net/http"

const (
	get     = http.MethodGet
	put     = http.MethodPut
	post    = http.MethodPost
	head    = http.MethodHead
	del     = http.MethodDelete
	options = http.MethodOptions

	headerCopySource = "X-Amz-Copy-Source"

	opCreateBucket = "CreateBucket"
)

// routes is every operation of the S3 API. Where two have one shape the older name is left out:
// GetBucketLifecycle, PutBucketLifecycle, GetBucketNotification, PutBucketNotification, and
// ListDirectoryBuckets, which AWS tells from ListBuckets by its endpoint.
func routes() []route {
	return append(append(serviceRoutes(), bucketRoutes()...), objectRoutes()...)
}

func serviceRoutes() []route {
	return []route{
		{op: "ListBuckets", method: get, level: levelService, run: (*call).listBuckets},
		{op: "WriteGetObjectResponse", method: post, level: levelBucket, bucket: "WriteGetObjectResponse"},
		{op: "PreflightRequest", method: options, level: levelService, run: (*call).preflight, open: true},
		{op: "PreflightRequest", method: options, level: levelBucket, run: (*call).preflight, open: true},
		{op: "PreflightRequest", method: options, level: levelObject, run: (*call).preflight, open: true},
	}
}

func bucketRoutes() []route {
	b := levelBucket
	return []route{
		{op: "CreateSession", method: get, level: b, query: "session"},
		{op: "GetBucketAbac", method: get, level: b, query: "abac"},
		{op: "GetBucketAccelerateConfiguration", method: get, level: b, query: "accelerate"},
		{op: "GetBucketAcl", method: get, level: b, query: "acl"},
		{op: "GetBucketAnalyticsConfiguration", method: get, level: b, query: "analytics", also: "id"},
		{op: "ListBucketAnalyticsConfigurations", method: get, level: b, query: "analytics"},
		{op: "GetBucketCors", method: get, level: b, query: "cors", run: getSetting(settingCORS)},
		{op: "GetBucketEncryption", method: get, level: b, query: "encryption", run: getSetting(settingEncryption)},
		{op: "GetBucketIntelligentTieringConfiguration", method: get, level: b, query: "intelligent-tiering", also: "id"},
		{op: "ListBucketIntelligentTieringConfigurations", method: get, level: b, query: "intelligent-tiering"},
		{op: "GetBucketInventoryConfiguration", method: get, level: b, query: "inventory", also: "id"},
		{op: "ListBucketInventoryConfigurations", method: get, level: b, query: "inventory"},
		{op: "GetBucketLifecycleConfiguration", method: get, level: b, query: "lifecycle", run: getSetting(settingLifecycle)},
		{op: "GetBucketLocation", method: get, level: b, query: "location", run: (*call).getBucketLocation},
		{op: "GetBucketLogging", method: get, level: b, query: "logging"},
		{op: "GetBucketMetadataConfiguration", method: get, level: b, query: "metadataConfiguration"},
		{op: "GetBucketMetadataTableConfiguration", method: get, level: b, query: "metadataTable"},
		{op: "GetBucketMetricsConfiguration", method: get, level: b, query: "metrics", also: "id"},
		{op: "ListBucketMetricsConfigurations", method: get, level: b, query: "metrics"},
		{op: "GetBucketNotificationConfiguration", method: get, level: b, query: "notification"},
		{op: "GetBucketOwnershipControls", method: get, level: b, query: "ownershipControls", run: getSetting(settingOwnership)},
		{op: "GetBucketPolicy", method: get, level: b, query: "policy"},
		{op: "GetBucketPolicyStatus", method: get, level: b, query: "policyStatus"},
		{op: "GetBucketReplication", method: get, level: b, query: "replication", run: getSetting(settingReplication)},
		{op: "GetBucketRequestPayment", method: get, level: b, query: "requestPayment", run: getSetting(settingPayer)},
		{op: "GetBucketTagging", method: get, level: b, query: "tagging", run: getSetting(settingTagging)},
		{op: "GetBucketVersioning", method: get, level: b, query: "versioning", run: getSetting(settingVersioning)},
		{op: "GetBucketWebsite", method: get, level: b, query: "website"},
		{op: "GetObjectLockConfiguration", method: get, level: b, query: "object-lock", run: getSetting(settingLock)},
		{op: "GetPublicAccessBlock", method: get, level: b, query: "publicAccessBlock", run: getSetting(settingPublicAccess)},
		{op: "ListMultipartUploads", method: get, level: b, query: "uploads", run: (*call).listUploads},
		{op: "ListObjectVersions", method: get, level: b, query: "versions", run: (*call).listVersions},
		{op: "ListObjectsV2", method: get, level: b, query: "list-type=2", run: (*call).listObjectsV2},
		{op: "ListObjects", method: get, level: b, run: (*call).listObjects},

		{op: "HeadBucket", method: head, level: b, run: (*call).headBucket},

		{op: "PutBucketAbac", method: put, level: b, query: "abac"},
		{op: "PutBucketAccelerateConfiguration", method: put, level: b, query: "accelerate"},
		{op: "PutBucketAcl", method: put, level: b, query: "acl"},
		{op: "PutBucketAnalyticsConfiguration", method: put, level: b, query: "analytics"},
		{op: "PutBucketCors", method: put, level: b, query: "cors", run: putSetting(settingCORS)},
		{op: "PutBucketEncryption", method: put, level: b, query: "encryption", run: putSetting(settingEncryption)},
		{op: "PutBucketIntelligentTieringConfiguration", method: put, level: b, query: "intelligent-tiering"},
		{op: "PutBucketInventoryConfiguration", method: put, level: b, query: "inventory"},
		{op: "PutBucketLifecycleConfiguration", method: put, level: b, query: "lifecycle", run: putSetting(settingLifecycle)},
		{op: "PutBucketLogging", method: put, level: b, query: "logging"},
		{op: "UpdateBucketMetadataInventoryTableConfiguration", method: put, level: b, query: "metadataInventoryTable"},
		{op: "UpdateBucketMetadataJournalTableConfiguration", method: put, level: b, query: "metadataJournalTable"},
		{op: "PutBucketMetricsConfiguration", method: put, level: b, query: "metrics"},
		{op: "PutBucketNotificationConfiguration", method: put, level: b, query: "notification"},
		{op: "PutBucketOwnershipControls", method: put, level: b, query: "ownershipControls", run: putSetting(settingOwnership)},
		{op: "PutBucketPolicy", method: put, level: b, query: "policy"},
		{op: "PutBucketReplication", method: put, level: b, query: "replication", run: putSetting(settingReplication)},
		{op: "PutBucketRequestPayment", method: put, level: b, query: "requestPayment", run: putSetting(settingPayer)},
		{op: "PutBucketTagging", method: put, level: b, query: "tagging", run: putSetting(settingTagging)},
		{op: "PutBucketVersioning", method: put, level: b, query: "versioning", run: putSetting(settingVersioning)},
		{op: "PutBucketWebsite", method: put, level: b, query: "website"},
		{op: "PutObjectLockConfiguration", method: put, level: b, query: "object-lock", run: putSetting(settingLock)},
		{op: "PutPublicAccessBlock", method: put, level: b, query: "publicAccessBlock", run: putSetting(settingPublicAccess)},
		{op: opCreateBucket, method: put, level: b, run: (*call).createBucket},

		{op: "DeleteObjects", method: post, level: b, query: "delete", run: (*call).deleteObjects},
		{op: "CreateBucketMetadataConfiguration", method: post, level: b, query: "metadataConfiguration"},
		{op: "CreateBucketMetadataTableConfiguration", method: post, level: b, query: "metadataTable"},
		{op: "PostObject", method: post, level: b},

		{op: "DeleteBucketAnalyticsConfiguration", method: del, level: b, query: "analytics"},
		{op: "DeleteBucketCors", method: del, level: b, query: "cors", run: deleteSetting(settingCORS)},
		{op: "DeleteBucketEncryption", method: del, level: b, query: "encryption", run: deleteSetting(settingEncryption)},
		{op: "DeleteBucketIntelligentTieringConfiguration", method: del, level: b, query: "intelligent-tiering"},
		{op: "DeleteBucketInventoryConfiguration", method: del, level: b, query: "inventory"},
		{op: "DeleteBucketLifecycle", method: del, level: b, query: "lifecycle", run: deleteSetting(settingLifecycle)},
		{op: "DeleteBucketMetadataConfiguration", method: del, level: b, query: "metadataConfiguration"},
		{op: "DeleteBucketMetadataTableConfiguration", method: del, level: b, query: "metadataTable"},
		{op: "DeleteBucketMetricsConfiguration", method: del, level: b, query: "metrics"},
		{op: "DeleteBucketOwnershipControls", method: del, level: b, query: "ownershipControls", run: deleteSetting(settingOwnership)},
		{op: "DeleteBucketPolicy", method: del, level: b, query: "policy"},
		{op: "DeleteBucketReplication", method: del, level: b, query: "replication", run: deleteSetting(settingReplication)},
		{op: "DeleteBucketTagging", method: del, level: b, query: "tagging", run: deleteSetting(settingTagging)},
		{op: "DeleteBucketWebsite", method: del, level: b, query: "website"},
		{op: "DeletePublicAccessBlock", method: del, level: b, query: "publicAccessBlock", run: deleteSetting(settingPublicAccess)},
		{op: "DeleteBucket", method: del, level: b, run: (*call).deleteBucket},
	}
}

func objectRoutes() []route {
	o := levelObject
	return []route{
		{op: "GetObjectAcl", method: get, level: o, query: "acl"},
		{op: "GetObjectAttributes", method: get, level: o, query: "attributes", run: (*call).getObjectAttributes},
		{op: "GetObjectLegalHold", method: get, level: o, query: "legal-hold", run: (*call).getObjectLegalHold},
		{op: "GetObjectRetention", method: get, level: o, query: "retention", run: (*call).getObjectRetention},
		{op: "GetObjectTagging", method: get, level: o, query: "tagging", run: (*call).getObjectTagging},
		{op: "GetObjectTorrent", method: get, level: o, query: "torrent"},
		{op: "ListParts", method: get, level: o, query: "uploadId", run: (*call).listParts},
		{op: "GetObject", method: get, level: o, run: (*call).getObject},

		{op: "HeadObject", method: head, level: o, run: (*call).headObject},

		{op: "PutObjectAcl", method: put, level: o, query: "acl"},
		{op: "UpdateObjectEncryption", method: put, level: o, query: "encryption"},
		{op: "PutObjectLegalHold", method: put, level: o, query: "legal-hold", run: (*call).putObjectLegalHold},
		{op: "RenameObject", method: put, level: o, query: "renameObject"},
		{op: "PutObjectRetention", method: put, level: o, query: "retention", run: (*call).putObjectRetention},
		{op: "PutObjectTagging", method: put, level: o, query: "tagging", run: (*call).putObjectTagging},
		{op: "UploadPartCopy", method: put, level: o, query: "uploadId", header: headerCopySource, run: (*call).uploadPartCopy},
		// A part number alone must not become a PutObject over the whole key.
		{op: "UploadPartCopy", method: put, level: o, query: "partNumber", header: headerCopySource, run: (*call).uploadPartCopy},
		{op: "UploadPart", method: put, level: o, query: "uploadId", run: (*call).uploadPart},
		{op: "UploadPart", method: put, level: o, query: "partNumber", run: (*call).uploadPart},
		{op: "CopyObject", method: put, level: o, header: headerCopySource, run: (*call).copyObject},
		{op: "PutObject", method: put, level: o, run: (*call).putObject},

		{op: "RestoreObject", method: post, level: o, query: "restore"},
		{op: "SelectObjectContent", method: post, level: o, query: "select"},
		{op: "CreateMultipartUpload", method: post, level: o, query: "uploads", run: (*call).createUpload},
		{op: "CompleteMultipartUpload", method: post, level: o, query: "uploadId", run: (*call).completeUpload},

		{op: "DeleteObjectTagging", method: del, level: o, query: "tagging", run: (*call).deleteObjectTagging},
		{op: "AbortMultipartUpload", method: del, level: o, query: "uploadId", run: (*call).abortUpload},
		{op: "DeleteObject", method: del, level: o, run: (*call).deleteObject},
	}
}
