package forming

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/id"
	"holdfast/internal/vfs"
	"holdfast/proto/formpb"
)

// The files in a data directory, and the version of their format.
const (
	nodeFileName  = "node.json"
	formingName   = "forming.json"
	formatVersion = 1
	// maxFile bounds either in bytes: a plan of a thousand nodes fits.
	maxFile = 16 << 20
)

// errUnread: a file cannot be read, so that what it says is not known.
var errUnread = errors.New("forming: read")

type nodeFile struct {
	Format int    `json:"format"`
	Node   string `json:"node"`
}

// NodeID is the ID of the node that has these data directories: the one that most of them name, of
// several the one that comes first; a new one if none does. All directories name it afterwards: one that
// was moved here from another node is this one's from now on.
func NodeID(fsys vfs.FS, dirs []string, rand io.Reader) (id.Node, error) {
	named := make([]id.Node, len(dirs))
	votes := map[id.Node]int{}
	var unread []error
	for i, dir := range dirs {
		n, err := readNode(fsys, dir)
		if err != nil && !errors.Is(err, errUnread) {
			return id.Node{}, err
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			unread = append(unread, err)
		}
		if named[i] = n; n != (id.Node{}) {
			votes[n]++
		}
	}
	var best id.Node
	for _, n := range named {
		if votes[n] > votes[best] {
			best = n
		}
	}
	if best == (id.Node{}) {
		if err := errors.Join(unread...); err != nil { // what cannot be read might have named one
			return id.Node{}, err
		}
		var err error
		if best, err = id.Random[id.Node](rand); err != nil {
			return id.Node{}, err
		}
	}
	text, err := json.MarshalIndent(nodeFile{formatVersion, best.String()}, "", "\t")
	if err != nil {
		return id.Node{}, err
	}
	for i, dir := range dirs {
		if named[i] == best {
			continue
		}
		if err := write(fsys, dir, nodeFileName, append(text, '\n')); err != nil && votes[best] == 0 {
			return id.Node{}, fmt.Errorf("forming: write %s of %s: %w", nodeFileName, dir, err)
		}
	}
	return best, nil
}

func readNode(fsys vfs.FS, dir string) (id.Node, error) {
	b, err := vfs.ReadFile(fsys, filepath.Join(dir, nodeFileName), maxFile)
	if err != nil {
		return id.Node{}, fmt.Errorf("%w %s of %s: %w", errUnread, nodeFileName, dir, err)
	}
	var f nodeFile
	if err := json.Unmarshal(b, &f); err != nil {
		return id.Node{}, fmt.Errorf("forming: %s of %s: %w", nodeFileName, dir, err)
	}
	if f.Format < 1 || f.Format > formatVersion {
		return id.Node{}, fmt.Errorf("forming: %s of %s has format %d, this program knows up to %d", nodeFileName, dir, f.Format, formatVersion)
	}
	n, err := id.Parse[id.Node](f.Node)
	if err == nil && n == (id.Node{}) {
		err = id.ErrInvalid
	}
	if err != nil {
		return id.Node{}, fmt.Errorf("forming: the ID in %s of %s: %w", nodeFileName, dir, err)
	}
	return n, nil
}

// Files is a Store in data directories. Every Save goes to all of them: any that is left tells it.
type Files struct {
	FS   vfs.FS
	Dirs []string
}

var _ Store = Files{}

// Load reads the newest copy, and brings the others in step: a Save may have been cut short. A
// directory that cannot be read is a failed drive, and no reason to stop while there are others.
func (f Files) Load() (*formpb.Saved, error) {
	copies := make([]*formpb.Saved, len(f.Dirs))
	var newest *formpb.Saved
	var unread []error
	for i, dir := range f.Dirs {
		var err error
		if copies[i], err = f.read(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			if !errors.Is(err, errUnread) {
				return nil, err
			}
			unread = append(unread, err)
		}
		if copies[i].GetSequence() > newest.GetSequence() {
			newest = copies[i]
		}
	}
	if len(unread) == len(f.Dirs) {
		return nil, errors.Join(unread...)
	}
	for i, c := range copies {
		if c.GetSequence() < newest.GetSequence() {
			_ = f.save(newest, f.Dirs[i:i+1]) // one copy tells it as well
		}
	}
	return newest, nil
}

func (f Files) read(dir string) (*formpb.Saved, error) {
	b, err := vfs.ReadFile(f.FS, filepath.Join(dir, formingName), maxFile)
	if err != nil {
		return nil, fmt.Errorf("%w %s of %s: %w", errUnread, formingName, dir, err)
	}
	s := &formpb.Saved{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("forming: %s of %s: %w", formingName, dir, err)
	}
	if s.Format < 1 || s.Format > formatVersion {
		return nil, fmt.Errorf("forming: %s of %s has format %d, this program knows up to %d", formingName, dir, s.Format, formatVersion)
	}
	return s, nil
}

// Save writes all copies.
func (f Files) Save(s *formpb.Saved) error { return f.save(s, f.Dirs) }

func (f Files) save(s *formpb.Saved, dirs []string) error {
	s = proto.CloneOf(s)
	s.Format = formatVersion
	b, err := protojson.MarshalOptions{Multiline: true}.Marshal(s)
	if err != nil {
		return fmt.Errorf("forming: encode %s: %w", formingName, err)
	}
	for _, dir := range dirs {
		if err := write(f.FS, dir, formingName, append(b, '\n')); err != nil {
			return fmt.Errorf("forming: write %s of %s: %w", formingName, dir, err)
		}
	}
	return nil
}

// write replaces a file, durable before it returns.
func write(fsys vfs.FS, dir, name string, content []byte) error {
	if err := makeDir(fsys, dir); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	f, err := fsys.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(path+".new", path)
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	return err
}

// makeDir makes a directory and those above it, durably.
func makeDir(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(fsys, parent); err != nil {
		return err
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return fsys.SyncDir(parent)
}
