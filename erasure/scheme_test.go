package erasure

import "testing"

func TestSchemesParseAndPrint(t *testing.T) {
	for _, text := range []string{"1+0", "1+2", "4+2", "12+4", "16+16"} {
		s, err := Parse(text)
		if err != nil || s.String() != text {
			t.Errorf("%s: got %s, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "4", "4+", "+2", "0+2", "4+2+1", "-4+2", "4+-2", "30+3", "256+0", " 4+2", "4 + 2"} {
		if s, err := Parse(text); err == nil {
			t.Errorf("%q was taken as %s", text, s)
		}
	}
}

func TestDefaultSchemeUsesTheDrivesThereAre(t *testing.T) {
	want := map[int]string{1: "1+0", 3: "1+2", 4: "2+2", 5: "3+2", 6: "4+2", 7: "5+2", 8: "6+2", 11: "6+2", 12: "8+4", 15: "8+4", 16: "12+4", 100: "12+4"}
	for drives := -1; drives <= 100; drives++ {
		s, err := Default(drives)
		if drives < 1 || drives == 2 {
			if err == nil {
				t.Errorf("%d drives: got %s", drives, s)
			}
			continue
		}
		if err != nil || s.Validate() != nil || s.Shards() > drives {
			t.Errorf("%d drives: got %s, %v", drives, s, err)
		}
		if w, ok := want[drives]; ok && s.String() != w {
			t.Errorf("%d drives: got %s, want %s", drives, s, w)
		}
	}
}
