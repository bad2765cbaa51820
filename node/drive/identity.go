package drive

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"holdfast/internal/id"
	"holdfast/internal/vfs"
)

// FormatVersion is the version of the layout of a drive that this program writes. It reads
// those up to it.
const FormatVersion = 1

// Identity is what drive.json says.
type Identity struct {
	Format  int
	Cluster id.Cluster
	Drive   id.Drive
	Created time.Time
}

// identityFile is the JSON of drive.json. Unknown fields are ignored: a change that an older
// program must not ignore raises the format.
type identityFile struct {
	Format  int       `json:"format"`
	Cluster string    `json:"cluster"`
	Drive   string    `json:"drive"`
	Created time.Time `json:"created"`
}

// maxIdentity bounds drive.json in bytes.
const maxIdentity = 64 << 10

// ReadIdentity reads drive.json of the drive at path: ErrNotFormatted if there is none,
// ErrFormat if a newer program wrote it.
func ReadIdentity(fsys vfs.FS, path string) (Identity, error) {
	b, err := vfs.ReadFile(fsys, filepath.Join(path, identityName), maxIdentity)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, fmt.Errorf("%w: %s", ErrNotFormatted, path)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("drive: read %s of %s: %w", identityName, path, err)
	}
	var f identityFile
	if err := json.Unmarshal(b, &f); err != nil {
		return Identity{}, fmt.Errorf("drive: %s of %s: %w", identityName, path, err)
	}
	if f.Format < 1 || f.Format > FormatVersion {
		return Identity{}, fmt.Errorf("%w: %s has format %d, this program knows up to %d",
			ErrFormat, path, f.Format, FormatVersion)
	}
	cluster, err := id.Parse[id.Cluster](f.Cluster)
	if err != nil {
		return Identity{}, fmt.Errorf("drive: cluster ID in %s of %s: %w", identityName, path, err)
	}
	drive, err := id.Parse[id.Drive](f.Drive)
	if err != nil {
		return Identity{}, fmt.Errorf("drive: drive ID in %s of %s: %w", identityName, path, err)
	}
	return Identity{Format: f.Format, Cluster: cluster, Drive: drive, Created: f.Created}, nil
}

// identify reads the drive's identity, or gives an empty directory one.
func (d *Drive) identify() error {
	got, err := ReadIdentity(d.cfg.FS, d.cfg.Path)
	if errors.Is(err, ErrNotFormatted) && d.cfg.Create {
		got, err = d.format()
	}
	if err != nil {
		return err
	}
	if !d.cfg.Cluster.IsZero() && got.Cluster != d.cfg.Cluster {
		return fmt.Errorf("%w: %s is of cluster %s", ErrForeign, d.cfg.Path, got.Cluster)
	}
	d.identity = got
	return nil
}

// format writes drive.json, last, into a directory that holds nothing else.
func (d *Drive) format() (Identity, error) {
	if d.cfg.Cluster.IsZero() {
		return Identity{}, fmt.Errorf("drive: format %s: no cluster ID given", d.cfg.Path)
	}
	names, err := d.cfg.FS.ReadDir(d.cfg.Path)
	if err != nil {
		return Identity{}, fmt.Errorf("drive: list %s: %w", d.cfg.Path, err)
	}
	for _, n := range names {
		switch n.Name() {
		case lockName, identityName + ".new", "lost+found":
		case "node.json", "node.json.new", "forming.json", "forming.json.new": // the node's own
		default:
			return Identity{}, fmt.Errorf("%w: %s is not empty (%s)", ErrNotFormatted, d.cfg.Path, n.Name())
		}
	}
	driveID := d.cfg.ID
	if driveID.IsZero() {
		if driveID, err = id.Random[id.Drive](rand.Reader); err != nil {
			return Identity{}, err
		}
	}
	made := Identity{Format: FormatVersion, Cluster: d.cfg.Cluster, Drive: driveID, Created: time.Now().UTC()}
	b, err := json.MarshalIndent(identityFile{
		Format: made.Format, Cluster: made.Cluster.String(), Drive: made.Drive.String(), Created: made.Created,
	}, "", "\t")
	if err != nil {
		return Identity{}, err
	}
	if err := d.writeFile(identityName, append(b, '\n')); err != nil {
		return Identity{}, fmt.Errorf("drive: format %s: %w", d.cfg.Path, err)
	}
	return made, nil
}

// writeFile replaces a small file of the drive, durable before it returns.
func (d *Drive) writeFile(name string, content []byte) error {
	path := filepath.Join(d.cfg.Path, name)
	f, err := d.cfg.FS.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
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
		err = d.cfg.FS.Rename(path+".new", path)
	}
	if err == nil {
		err = d.cfg.FS.SyncDir(d.cfg.Path)
	}
	return err
}
