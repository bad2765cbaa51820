package main

import (
	"io"
	"strings"
	"text/template"
)

// guide is what `holdfast dev` prints once it is ready: lines to paste.
type guide struct {
	Version  string
	Endpoint string // https://127.0.0.1:9000
	Drives   int
	Scheme   string
	Parity   int
	Dir      string
	Access   string
	// Secret is shown unless it came from the environment: then whoever reads this has it.
	Secret          string
	FromEnvironment bool
	CredentialsFile string
	CA              string
	Key             string // an SSE-C key for the examples, base64
}

// RawKey is the key without padding, as mc wants it.
func (g guide) RawKey() string { return strings.TrimRight(g.Key, "=") }

const guideText = `
Holdfast {{.Version}} is ready. {{.Drives}} drive{{if ne .Drives 1}}s{{end}} in {{.Dir}}, scheme {{.Scheme}}{{if .Parity}}: any {{.Parity}} may be lost{{end}}. Ctrl-C stops it; the next start finds everything again.

  endpoint     {{.Endpoint}}      (plain HTTP on the same port; SSE-C only over HTTPS)
{{- if .FromEnvironment}}
  credentials  those in HOLDFAST_ROOT_USER and HOLDFAST_ROOT_PASSWORD
{{- else}}
  access key   {{.Access}}
  secret key   {{.Secret}}
               both in {{.CredentialsFile}} (mode 0600)
{{- end}}
  CA           {{.CA}}

AWS CLI
{{- if .FromEnvironment}}
  export AWS_ACCESS_KEY_ID="$HOLDFAST_ROOT_USER" AWS_SECRET_ACCESS_KEY="$HOLDFAST_ROOT_PASSWORD" AWS_DEFAULT_REGION=us-east-1
{{- else}}
  export AWS_ACCESS_KEY_ID={{.Access}} AWS_SECRET_ACCESS_KEY={{.Secret}} AWS_DEFAULT_REGION=us-east-1
{{- end}}
  export AWS_ENDPOINT_URL={{.Endpoint}} AWS_CA_BUNDLE='{{.CA}}'
  openssl rand 32 > demo.key
  aws s3 mb s3://demo
  echo hello | aws s3 cp - s3://demo/hello --sse-c AES256 --sse-c-key fileb://demo.key
  aws s3 cp s3://demo/hello - --sse-c AES256 --sse-c-key fileb://demo.key

mc
  mkdir -p ~/.mc/certs/CAs && cp '{{.CA}}' ~/.mc/certs/CAs/holdfast-dev.pem
{{- if .FromEnvironment}}
  mc alias set holdfast {{.Endpoint}} "$HOLDFAST_ROOT_USER" "$HOLDFAST_ROOT_PASSWORD"
{{- else}}
  mc alias set holdfast {{.Endpoint}} {{.Access}} {{.Secret}}
{{- end}}
  mc mb --ignore-existing holdfast/demo
  echo hello | mc pipe --enc-c "holdfast/demo/={{.RawKey}}" holdfast/demo/hello-mc
  mc cat --enc-c "holdfast/demo/={{.RawKey}}" holdfast/demo/hello-mc

boto3 (python3)
  import base64, boto3{{if .FromEnvironment}}, os{{end}}
  s3 = boto3.client("s3", endpoint_url="{{.Endpoint}}", verify="{{.CA}}", region_name="us-east-1",
{{- if .FromEnvironment}}
                    aws_access_key_id=os.environ["HOLDFAST_ROOT_USER"], aws_secret_access_key=os.environ["HOLDFAST_ROOT_PASSWORD"])
{{- else}}
                    aws_access_key_id="{{.Access}}", aws_secret_access_key="{{.Secret}}")
{{- end}}
  key = dict(SSECustomerAlgorithm="AES256", SSECustomerKey=base64.b64decode("{{.Key}}"))
  s3.put_object(Bucket="demo", Key="hello-boto3", Body=b"hello\n", **key)
  print(s3.get_object(Bucket="demo", Key="hello-boto3", **key)["Body"].read())

The SSE-C key above was made for this screen only: holdfast key new makes others. Holdfast does not keep it.

`

func (g guide) print(w io.Writer) error {
	t, err := template.New("guide").Parse(strings.TrimPrefix(guideText, "\n"))
	if err != nil {
		return err
	}
	return t.Execute(w, g)
}
