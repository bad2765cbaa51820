package secret

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"holdfast/internal/keyfile"
)

// Names of the environment variables, and of the lines in the file.
const (
	EnvUser     = "HOLDFAST_ROOT_USER"
	EnvPassword = "HOLDFAST_ROOT_PASSWORD"
)

// Bounds and shape of root credentials. The user name is an S3 access key ID: it stands between
// slashes and commas in a signature's header.
const (
	rootUser       = "holdfast-root"
	passwordLength = 40 // characters of 62: 238 bits
	minPassword    = 8
	maxPassword    = 128
	userPattern    = `^[A-Za-z0-9][A-Za-z0-9._@+-]{2,127}$`
	alphabet       = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// Root is the name and password of the first user, the access key and secret key of S3.
type Root struct {
	User     string
	password hidden
}

// NewRoot checks credentials that a person chose.
func NewRoot(user, password string) (Root, error) {
	switch {
	case user == "" || password == "":
		return Root{}, fmt.Errorf("secret: root credentials need both %s and %s", EnvUser, EnvPassword)
	case !regexp.MustCompile(userPattern).MatchString(user):
		return Root{}, errors.New("secret: the root user's name must have 3 to 128 letters, digits or . _ @ + - and begin with a letter or digit")
	case len(password) < minPassword || len(password) > maxPassword:
		return Root{}, fmt.Errorf("secret: the root password must have %d to %d characters", minPassword, maxPassword)
	case strings.ContainsFunc(password, func(r rune) bool { return r <= ' ' || r > '~' }):
		return Root{}, errors.New("secret: the root password must be printable ASCII without spaces")
	case strings.EqualFold(user, password):
		return Root{}, errors.New("secret: the root password must differ from the user's name")
	}
	return Root{User: user, password: hide([]byte(password))}, nil
}

// GenerateRoot makes credentials of a random source.
func GenerateRoot(rand io.Reader) (Root, error) {
	password := make([]byte, 0, passwordLength)
	var one [1]byte
	for tries := 0; len(password) < passwordLength; tries++ {
		if tries > 100*passwordLength {
			return Root{}, errors.New("secret: the random source is stuck")
		}
		if _, err := io.ReadFull(rand, one[:]); err != nil {
			return Root{}, fmt.Errorf("secret: read random bytes: %w", err)
		}
		// Bytes from the last, incomplete run of the alphabet would favour its beginning.
		if n := int(one[0]); n < 256/len(alphabet)*len(alphabet) {
			password = append(password, alphabet[n%len(alphabet)])
		}
	}
	return NewRoot(rootUser, string(password))
}

// Password is the password, for whoever verifies signatures or prints it to its owner.
func (r Root) Password() string { return string(r.password.bytes()) }

// IsZero reports whether there are no credentials.
func (r Root) IsZero() bool { return r.User == "" }

// LoadRoot reads credentials from their file.
func LoadRoot(path string) (Root, error) {
	b, err := keyfile.Read(path)
	if err != nil {
		return Root{}, fmt.Errorf("secret: read root credentials: %w", err)
	}
	defer clear(b)
	values := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || (name != EnvUser && name != EnvPassword) || values[name] != "" {
			return Root{}, fmt.Errorf("secret: %s line %d: want %s=… and %s=…, once each", path, n, EnvUser, EnvPassword)
		}
		values[name] = value
	}
	if err := lines.Err(); err != nil {
		return Root{}, fmt.Errorf("secret: read root credentials: %w", err)
	}
	r, err := NewRoot(values[EnvUser], values[EnvPassword])
	if err != nil {
		return Root{}, fmt.Errorf("%w (in %s)", err, path)
	}
	return r, nil
}

// SaveRoot writes credentials to a new file.
func SaveRoot(path string, r Root) error {
	text := fmt.Sprintf("%s=%s\n%s=%s\n", EnvUser, r.User, EnvPassword, r.Password())
	if err := keyfile.Create(path, []byte(text), keyfile.Private); err != nil {
		return fmt.Errorf("secret: write root credentials: %w", err)
	}
	return nil
}

// LoadOrCreateRoot reads credentials from their file, which it makes of rand when it is not there.
func LoadOrCreateRoot(path string, rand io.Reader) (r Root, created bool, err error) {
	r, err = LoadRoot(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, false, err
	}
	if r, err = GenerateRoot(rand); err != nil {
		return Root{}, false, err
	}
	switch err := SaveRoot(path, r); {
	case err == nil:
		return r, true, nil
	case errors.Is(err, fs.ErrExist): // another process was first
		r, err = LoadRoot(path)
		return r, false, err
	default:
		return Root{}, false, err
	}
}
