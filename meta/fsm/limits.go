package fsm

// Limits of commands. A front keeps those of S3 earlier and with better words; here they make
// sure that no command can have an effect without bound, whoever sent it.
const (
	maxKeyLen       = 1024              // bytes of an S3 key
	maxParts        = 10_000            // parts of a version, and the largest part number
	maxPartSize     = 5 << 30           // plaintext bytes
	maxObjectSize   = 5 << 40           // plaintext bytes
	maxShards       = 32                // k+m
	maxInline       = 64 << 10          // bytes of an inlined part: far above what a front inlines
	maxDetails      = 32 << 10          // bytes of a manifest or upload besides its parts
	maxManifest     = 2150 << 10        // bytes of a version in all its records: see TestNoCommandOutgrowsATransaction
	maxPartBytes    = 256 << 10         // bytes of parts in one record: Badger keeps values below 1 MiB in its tables
	maxNewParts     = 1000              // parts with new data in one PutVersion (an object put at once has one)
	maxShared       = 2048              // parts that a version may share without replacing the lender
	maxIDs          = 10_000            // data IDs in one Ack, Queue or GetData
	maxBuckets      = 10_000            // buckets of a cluster, when a command names no number
	maxNameLen      = 255               // bytes of the name of a bucket, node or zone
	maxAddressLen   = 261               // bytes of host:port
	maxPathLen      = 4096              // bytes of a drive's directory
	maxNodes        = 10_000            // nodes of a cluster, those that are gone included
	maxDrives       = 100_000           // drives of a cluster, those that are gone included
	maxLayout       = 3 << 20           // bytes of all records of drives and nodes: who asks gets them in one message of 4 MiB
	maxRate         = uint64(1) << 40   // bytes per second
	maxPatienceMs   = int64(1) << 36    // two years
	maxPage         = 10_000            // entries of one answer
	maxChanges      = 100               // documents that one command changes
	maxDocument     = 256 << 10         // bytes of one document: Badger keeps values below 1 MiB in its tables
	maxChangeBytes  = 1 << 20           // bytes of all documents of one command
	maxDocumentPage = 2 << 20           // bytes of documents in one answer, which is one message of 4 MiB
	maxQuota        = 1 << 60           // bytes
	maxDocuments    = 64                // documents of a bucket
	maxBucket       = 512 << 10         // bytes of a bucket's record with all its documents
	defaultScan     = 1000              // entries of a scan that names no limit
	releaseBatch    = 128               // references that one command drops at once; more go to the backlog
	ackBatches      = 16                // batches of the backlog that AckGarbage works off
	closeBatch      = 500               // uploads that one CloseBucket aborts
	maxLayoutLen    = uint64(1) << 43   // bytes of (cipher)text of one data ID
	maxBlockLen     = uint32(2<<20 - 1) // bytes of a shard's block
)
