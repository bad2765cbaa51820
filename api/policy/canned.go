package policy

// Canned is a policy that every cluster has. Its document cannot be changed.
type Canned struct {
	Name     string // the names without a prefix are MinIO's, the others AWS's
	ARN      string
	Document string
}

const awsManaged = "arn:aws:iam::aws:policy/"

// cannedPolicies: those of MinIO allow what they allow there; to list a bucket's keys readonly is not
// enough. The admin: actions are Holdfast's own administration.
var cannedPolicies = []Canned{
	{"readonly", awsManaged + "readonly",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetBucketLocation","s3:GetObject"],"Resource":"arn:aws:s3:::*"}]}`},
	{"readwrite", awsManaged + "readwrite",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::*"}]}`},
	{"writeonly", awsManaged + "writeonly",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::*"}]}`},
	{"diagnostics", awsManaged + "diagnostics",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["admin:BandwidthMonitor","admin:ConsoleLog","admin:OBDInfo","admin:Profiling","admin:Prometheus","admin:ServerInfo","admin:ServerTrace","admin:TopLocksInfo"],"Resource":"*"}]}`},
	{"consoleAdmin", awsManaged + "consoleAdmin",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["admin:*","iam:*","kms:*","s3:*","sts:*"],"Resource":"*"}]}`},
	{"AdministratorAccess", awsManaged + "AdministratorAccess",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`},
	{"AmazonS3FullAccess", awsManaged + "AmazonS3FullAccess",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]}`},
	{"AmazonS3ReadOnlyAccess", awsManaged + "AmazonS3ReadOnlyAccess",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}]}`},
	{"IAMFullAccess", awsManaged + "IAMFullAccess",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}]}`},
	{"IAMReadOnlyAccess", awsManaged + "IAMReadOnlyAccess",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*","iam:Generate*","iam:Simulate*"],"Resource":"*"}]}`},
}

// CannedPolicies are all of them, in a fixed order.
func CannedPolicies() []Canned {
	return append([]Canned(nil), cannedPolicies...)
}

// FindCanned finds one by its name or ARN.
func FindCanned(nameOrARN string) (Canned, bool) {
	for _, c := range cannedPolicies {
		if nameOrARN == c.Name || nameOrARN == c.ARN {
			return c, true
		}
	}
	return Canned{}, false
}
