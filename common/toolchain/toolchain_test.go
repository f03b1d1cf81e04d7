package toolchain

import (
	"strings"
	"testing"
)

func TestAccepts(t *testing.T) {
	for _, tt := range []struct {
		requirement      string
		accepts, refuses []string
	}{
		{"", []string{"", "5.3.1"}, nil},
		{"esp-idf", []string{"", "5.3.1", "esp-2021r2"}, nil},
		{"esp-idf@5.3", []string{"5.3", "5.3.0", "5.3.1", "v5.3.1"}, []string{"5.30", "5.30.0", "5.4.0", "5.2.9", "", "5", "5.3.1-beta1"}},
		{"esp-idf@5", []string{"5.3.1", "5"}, []string{"50.1.0", "4.4.0"}},
		{"esp-idf@5.3.1", []string{"5.3.1"}, []string{"5.3.10", "5.3"}},
		{"esp-idf@~5.3", []string{"5.3.0", "5.3.9", "5.3"}, []string{"5.4.0", "5.2.0"}},
		{"esp-idf@~5.3.2", []string{"5.3.2", "5.3.9"}, []string{"5.3.1", "5.4.0"}},
		{"esp-idf@^5.1", []string{"5.1.0", "5.4.2"}, []string{"5.0.9", "6.0.0", "5.4.0-beta1"}},
		{"esp-idf@>=5.1,<5.4", []string{"5.1.0", "5.3.9"}, []string{"5.4.0", "5.0.9"}},
		{"esp-idf@>=5.1 <5.4", []string{"5.1.0"}, []string{"5.4.0"}},
		{"esp-idf@4.4 || ^5.2", []string{"4.4.7", "5.3.0"}, []string{"5.1.0"}},
		{"esp-idf@>=5.4.0-0", []string{"5.4.0-beta1", "5.4.0"}, []string{"5.3.0"}},
		{"gcc@8.4", []string{"8.4.0.1", "8.4.0"}, []string{"8.40.0.1"}},
		{"xtensa@esp-2021r2", []string{"esp-2021r2", "esp-2021r2.patch5"}, []string{"esp-2021r20", "esp-2022r1"}},
		{"gcc@==12.2.0", []string{"12.2.0"}, []string{"12.2.0-rc", "12.2.0+r1", "v12.2.0", "12.2", "12.2.0.1", "12.2.1", ""}},
		{"gcc@==5", []string{"5"}, []string{"5.0.0", "5.1"}},
		{Exactly("gcc", "12.2 (Debian ä)"), []string{"12.2 (Debian ä)"}, []string{"12.2"}},
		{Exactly("xtensa", "esp-2021r2"), []string{"esp-2021r2"}, []string{"esp-2021r2.patch5"}},
		{"gcc@~12", []string{"12.2.0"}, []string{"13.0.0", "not-a-version"}},
	} {
		r, err := Parse(tt.requirement)
		if err != nil {
			t.Errorf("%q: %v", tt.requirement, err)
			continue
		}
		if got := r.String(); got != tt.requirement {
			t.Errorf("%q is written as %q", tt.requirement, got)
		}
		for _, v := range tt.accepts {
			if !r.Accepts(v) {
				t.Errorf("%q does not accept %q", tt.requirement, v)
			}
		}
		for _, v := range tt.refuses {
			if r.Accepts(v) {
				t.Errorf("%q accepts %q", tt.requirement, v)
			}
		}
	}
}

func TestWhatIsNoRequirement(t *testing.T) {
	for _, s := range []string{"@5.3", "esp-idf@", "esp idf", "esp-idf@~", "esp-idf@>=", "esp-idf@5.3;rm", "esp-idf@\x1b[2J", "-x", "esp-idf@5.3\n", "esp-idf@==", "esp-idf@==5\n", "esp-idf@==" + strings.Repeat("5", 65), "esp-idf@>=5,==5.3"} {
		if r, err := Parse(s); err == nil {
			t.Errorf("%q is taken as %+v", s, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("esp-idf@>=5.1,<5.4 || 4.4", "5.3.1")
	f.Add("gcc", "12.2.0")
	f.Add("x@esp-2021r2", "esp-2021r2.1")
	f.Add("x@==5.3 (a)", "5.3 (a)")
	f.Fuzz(func(t *testing.T, s, version string) {
		r, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil || again.Name != r.Name || again.Accepts(version) != r.Accepts(version) {
			t.Errorf("%q became %q: %v", s, r.String(), err)
		}
		if !r.Accepts(r.Version) {
			t.Errorf("%q does not accept its own spelling", s)
		}
	})
}
