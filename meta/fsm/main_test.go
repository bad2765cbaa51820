package fsm

import (
	"flag"
	"os"
	"testing"
)

// TestMain sets how hard the property tests look; -rapid.checks and -rapid.steps say otherwise.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.checks": "300", "rapid.steps": "60", "rapid.nofailfile": "true"} {
		if f := flag.Lookup(name); f != nil {
			if err := f.Value.Set(value); err != nil {
				panic(err)
			}
		}
	}
	flag.Parse()
	os.Exit(m.Run())
}
