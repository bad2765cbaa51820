package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxConfigFile bounds the --config file in bytes.
const maxConfigFile = 1 << 20

// fromFile sets every flag that was given neither on the command line nor in the environment from a
// YAML file whose keys are the flags' names. A flag that may be repeated takes a list.
func fromFile(f *pflag.FlagSet, path string) error {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	defer file.Close()
	values := map[string]yaml.Node{}
	if err := yaml.NewDecoder(io.LimitReader(file, maxConfigFile)).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("--config %s: %w", path, err)
	}
	for name, value := range values {
		flag := f.Lookup(name)
		if flag == nil || name == configFlag {
			return fmt.Errorf("--config %s, line %d: there is no setting %q; the names are those of the flags, see holdfast server --help", path, value.Line, name)
		}
		if flag.Changed {
			continue
		}
		texts, err := scalars(&value)
		if _, many := flag.Value.(pflag.SliceValue); err == nil && !many && len(texts) != 1 {
			err = errors.New("it takes one value")
		}
		for _, text := range texts {
			err = errors.Join(err, f.Set(name, text))
		}
		if err != nil {
			return fmt.Errorf("--config %s, line %d: %s: %w", path, value.Line, name, err)
		}
	}
	return nil
}

// scalars are the texts of a value or of a list of values.
func scalars(n *yaml.Node) ([]string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return []string{n.Value}, nil
	case yaml.SequenceNode:
		if !slices.ContainsFunc(n.Content, func(e *yaml.Node) bool { return e.Kind != yaml.ScalarNode }) {
			texts := make([]string, len(n.Content))
			for i, e := range n.Content {
				texts[i] = e.Value
			}
			return texts, nil
		}
	}
	return nil, errors.New("it takes a value, or a list of values")
}
